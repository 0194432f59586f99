#include "pollard/tests/support/service.h"

#include <algorithm>
#include <utility>

namespace pollard::testing {

void Gate::pass() {
  std::unique_lock lock(mutex_);
  ++reached_;
  if (!opened_.wait_for(lock, 10s, [this] { return open_; })) in_vain_ = true;
}

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  opened_.notify_all();
}

void Notes::add(std::string note) {
  const std::lock_guard lock(mutex_);
  notes_.push_back(std::move(note));
}

std::size_t Notes::count(std::string_view note) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count(notes_, note));
}

std::size_t Notes::size() const {
  const std::lock_guard lock(mutex_);
  return notes_.size();
}

std::string Notes::text() const {
  const std::lock_guard lock(mutex_);
  std::string all;
  for (const std::string& note : notes_) all += (all.empty() ? "" : ", ") + note;
  return all;
}

Service::Service(const BackendCase& backend) : loop({.poller = backend.poller}) {
  options.workers.workers = 2;
  options.server.connection.trigger = choice_of(backend);
  handlers.on_connect = [this](RequestConnection&) { notes.add("connect"); };
  handlers.on_request = [this](RequestConnection& connection) {
    while (const auto line = connection.reader().read_until("\n")) {
      notes.add("request " + std::string(*line));
      connection.writer().append(*line);
      connection.writer().append("!\n");
    }
  };
  handlers.on_disconnect = [this](RequestConnection&, const DisconnectReason& reason) {
    notes.add("disconnect " + reason.to_string());
  };
}

// Handlers may still note something until the server has ended.
Service::~Service() { server.reset(); }

void Service::start() {
  server.emplace(loop, Address::loopback(0), std::move(handlers), std::move(options));
  server->start();
}

Descriptor Service::connect() { return connect_to(server->address()); }

std::string Service::hear(const Descriptor& peer, std::size_t count) {
  std::string heard;
  until([&] {
    heard += read_text(peer.get(), count - heard.size());
    return heard.size() == count;
  });
  return heard;
}

std::string Service::hear_to_the_end(const Descriptor& peer) {
  std::string heard;
  until([&] {
    heard += read_text(peer.get());
    const Meets next = peek(peer.get());
    return next == Meets::kEnd || next == Meets::kError;
  });
  return heard;
}

void Service::say(const Descriptor& peer, std::string_view text) {
  until([&] {
    text.remove_prefix(write_some(peer.get(), text));
    return text.empty();
  });
}

void Service::expect(std::string_view text) {
  const auto size = text.empty() ? 0 : static_cast<std::size_t>(std::ranges::count(text, ',')) + 1;
  until([&] { return notes.size() >= size; });
  BOOST_TEST(notes.text() == text);
}

}  // namespace pollard::testing
