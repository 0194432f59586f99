#include "pollard/tests/support/fake_names.h"

#include <netdb.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "pollard/net/names/resolver.h"
#include "pollard/platform/socket_address.h"

namespace pollard::testing {

struct FakeNames::State {
  struct Entry {
    int answer = 0;
    std::vector<Address> addresses;
  };
  // One answer's list, as getaddrinfo's caller sees it.
  struct List {
    std::vector<platform::SocketAddress> addresses;
    std::vector<addrinfo> entries;
  };

  int look_up(const std::string& host, addrinfo** found) {
    std::unique_lock lock(mutex);
    asked.push_back(host);
    if (holding) {
      ++held;
      changed.wait(lock, [&] { return !holding || let_go.erase(host) > 0; });
      --held;
    }
    const auto entry = known.find(host);
    if (entry == known.end()) return std::abs(EAI_NONAME);
    if (entry->second.answer == 0) *found = make_list(entry->second.addresses);
    return entry->second.answer;
  }

  addrinfo* make_list(const std::vector<Address>& addresses) {
    std::list<List> made(1);  // becomes one of the answers when nothing can throw any more
    List& list = made.front();
    for (const Address& address : addresses) {
      list.addresses.push_back(platform::to_socket_address(address.endpoint()));
    }
    list.entries.resize(addresses.size());
    for (std::size_t i = 0; i < list.entries.size(); ++i) {
      list.entries[i].ai_family = list.addresses[i].storage.ss_family;
      list.entries[i].ai_addr = list.addresses[i].get();
      list.entries[i].ai_addrlen = list.addresses[i].size;
      if (i > 0) list.entries[i - 1].ai_next = &list.entries[i];
    }
    lists.splice(lists.end(), made);
    return list.entries.data();
  }

  void free(const addrinfo* first) {
    const std::lock_guard lock(mutex);
    lists.remove_if([&](const List& list) { return list.entries.data() == first; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Entry> known;
  std::vector<std::string> asked;
  std::list<List> lists;
  std::set<std::string> let_go;
  std::size_t held = 0;
  bool holding = false;
};

FakeNames::FakeNames(Faults& faults) : state_(std::make_shared<State>()) {
  faults.replace<&platform::SystemCalls::getaddrinfo>(
      [state = state_](const char* host, const char*, const addrinfo*, addrinfo** found) {
        return state->look_up(host, found);
      });
  faults.replace<&platform::SystemCalls::freeaddrinfo>(
      [state = state_](addrinfo* found) { state->free(found); });
}

FakeNames::~FakeNames() {
  release();
  BOOST_TEST(Resolver::join_left_behind(std::chrono::seconds(10)), "a helper never came back");
  BOOST_TEST(unfreed() == 0U);
}

void FakeNames::know(const std::string& host, std::vector<Address> addresses) {
  const std::lock_guard lock(state_->mutex);
  state_->known[host] = {.addresses = std::move(addresses)};
}

void FakeNames::fail(const std::string& host, int answer) {
  const std::lock_guard lock(state_->mutex);
  state_->known[host] = {.answer = answer, .addresses = {}};
}

void FakeNames::hold() {
  const std::lock_guard lock(state_->mutex);
  state_->holding = true;
}

void FakeNames::release() {
  const std::lock_guard lock(state_->mutex);
  state_->holding = false;
  state_->changed.notify_all();
}

void FakeNames::let_one_go(const std::string& host) {
  const std::lock_guard lock(state_->mutex);
  state_->let_go.insert(host);
  state_->changed.notify_all();
}

std::size_t FakeNames::asked(const std::string& host) const {
  const std::lock_guard lock(state_->mutex);
  return static_cast<std::size_t>(std::ranges::count(state_->asked, host));
}

std::size_t FakeNames::held() const {
  const std::lock_guard lock(state_->mutex);
  return state_->held;
}

std::vector<std::string> FakeNames::asked_in_order() const {
  const std::lock_guard lock(state_->mutex);
  return state_->asked;
}

std::size_t FakeNames::unfreed() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lists.size();
}

}  // namespace pollard::testing
