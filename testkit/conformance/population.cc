#include "pollard/testkit/conformance/population.h"

#include <poll.h>

#include <utility>

#include "pollard/platform/socket.h"

namespace pollard::conformance {

Ready truth(int fd) {
  pollfd record{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
  if (kernel_calls().poll(&record, 1, 0) < 0) throw NotSupported("poll fails on this kernel");
  const bool ended = (record.revents & (POLLHUP | POLLERR)) != 0;
  return {.readable = ended || (record.revents & POLLIN) != 0,
          .writable = ended || (record.revents & POLLOUT) != 0};
}

std::string Population::step() {
  if (lives_.size() < 4 || (lives_.size() < 30 && one_in(8))) return be_born();
  Life& life = lives_[random_.up_to(lives_.size() - 1)];
  switch (random_.up_to(9)) {
    case 0: return die(life);
    case 1: return end_the_peer(life);
    case 2:
    case 3: return send(life);
    case 4: return receive(life);
    case 5:
      fill(life.pair.near.get());
      watcher_.stirred(life.pair.near.get());
      return "filled";
    case 6: return let_peer_receive(life);
    case 7: return duplicate_now_and_then(life);
    default: return change(life);
  }
}

std::string Population::be_born() {
  lives_.push_back({socket_pair(), any_interest()});
  // A small buffer is soon full: what is written in vain costs much under a sanitizer.
  static_cast<void>(platform::set_send_buffer(lives_.back().pair.near.get(), 16 * 1024));
  watcher_.added(lives_.back().pair.near.get(), lives_.back().interest);
  return "a new one";
}

std::string Population::die(Life& life) {
  const int number = life.pair.near.get();
  const bool closed_first = one_in(2);
  if (closed_first) life.pair.near.reset();  // before its registration, which is allowed
  watcher_.removed(number);
  std::swap(life, lives_.back());
  lives_.pop_back();
  return closed_first ? "closed and removed" : "removed and closed";
}

std::string Population::send(Life& life) {
  if (!life.pair.far || !truth(life.pair.far.get()).writable) return "nothing";
  write_text(life.pair.far.get(), std::string(1 + random_.up_to(30U), 'x'));
  watcher_.stirred(life.pair.near.get());
  return "data";
}

std::string Population::receive(Life& life) {
  read_text(life.pair.near.get(), 1 + random_.up_to(20U));
  watcher_.stirred(life.pair.near.get());
  return "read";
}

std::string Population::let_peer_receive(Life& life) {
  if (!life.pair.far) return "nothing";
  read_text(life.pair.far.get());
  watcher_.stirred(life.pair.near.get());
  return "read by its peer";
}

std::string Population::end_the_peer(Life& life) {
  life.pair.far.reset();
  watcher_.stirred(life.pair.near.get());
  return "ended by its peer";
}

std::string Population::duplicate_now_and_then(const Life& life) {
  if (ghosts_.size() >= 10) {
    ghosts_.clear();
    return "duplicates closed";
  }
  ghosts_.push_back(duplicate(life.pair.near.get()));
  return "duplicated";
}

std::string Population::change(Life& life) {
  life.interest = any_interest();
  watcher_.modified(life.pair.near.get(), life.interest);
  return "interest " + std::string(to_string(life.interest));
}

}  // namespace pollard::conformance
