// A loop that isn't ours over a Poller: what docs/poller-alone.md shows. Its callers speak of masks
// for a descriptor, as those of Redis' ae.c or of libev do.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "pollard/tests/support/watch.h"

namespace pollard::testing {
namespace {

class ForeignLoop {
 public:
  using Handler = std::function<void(int fd, Readiness ready)>;

  explicit ForeignLoop(PollerChoice choice) : poller_(make_poller(std::move(choice))) {}

  // The mask of a descriptor: kNone ends the registration.
  std::error_code set(int fd, Interest mask, const Handler& handler) {
    const bool known = handlers_.contains(fd);
    if (mask == Interest::kNone) {
      if (!known) return {};
      handlers_.erase(fd);
      return poller_->remove(fd);
    }
    const std::error_code refused =
        known ? poller_->modify(fd, mask) : poller_->add(fd, mask, static_cast<Token>(fd));
    if (!refused) handlers_[fd] = handler;
    return refused;
  }

  // One turn: waits, then calls the handler of each descriptor that is ready.
  std::error_code turn(Duration timeout) {
    if (const std::error_code failed = poller_->wait(timeout)) return failed;
    for (Event event; poller_->next(event);) {
      const int fd = static_cast<int>(event.token);
      const Handler handler = handlers_.at(fd);  // a copy: it may end its own registration
      handler(fd, event);
    }
    return {};
  }

  [[nodiscard]] const Poller& poller() const { return *poller_; }

 private:
  std::unique_ptr<Poller> poller_;
  std::map<int, Handler> handlers_;
};

POLLARD_EACH_BACKEND(foreign_loop_echoes_over_poller) {
  ForeignLoop loop(backend);
  const Pair pair = socket_pair();
  std::string heard;
  const auto echo = [&](int fd, Readiness ready) {
    if (ready.readable) write_text(fd, read_text(fd));
  };
  const auto hear = [&](int fd, Readiness) { heard += read_text(fd); };
  BOOST_TEST(!loop.set(pair.far.get(), Interest::kRead, echo));
  BOOST_TEST(!loop.set(pair.near.get(), Interest::kRead, hear));
  write_text(pair.near.get(), "hello");
  while (heard != "hello") BOOST_TEST_REQUIRE(!loop.turn(kPatience));
}

// "The mask becomes empty" is remove() for a loop that forgets the descriptor then.
POLLARD_EACH_BACKEND(foreign_loop_ends_registration_with_empty_mask) {
  ForeignLoop loop(backend);
  Pair pair = socket_pair();
  int calls = 0;
  const auto end_both = [&](int, Readiness) {
    ++calls;
    for (const Descriptor* end : {&pair.near, &pair.far}) {
      BOOST_TEST(!loop.set(end->get(), Interest::kNone, nullptr));
    }
  };
  BOOST_TEST(!loop.set(pair.near.get(), Interest::kWrite, end_both));
  BOOST_TEST(!loop.set(pair.far.get(), Interest::kWrite, end_both));
  BOOST_TEST(!loop.turn(kPatience));
  BOOST_TEST(calls == 1, "an event of the same wait must not reach an ended registration");
  BOOST_TEST(loop.poller().size() == 0U);
  loop.poller().verify();
  BOOST_TEST(!loop.set(pair.near.get(), Interest::kWrite, end_both));
  BOOST_TEST(!loop.turn(kPatience));
  BOOST_TEST(calls == 2);
}

}  // namespace
}  // namespace pollard::testing
