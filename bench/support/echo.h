// One step of an echo, for the servers that receive and send by themselves: the floors, and those
// peers that only say when a socket is ready.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "support/report.h"

namespace bench {

enum class Step : std::uint8_t {
  kAnswered,  ///< all that came has been sent back, and the buffer was not full
  kMore,      ///< all that came has been sent back; more may be there
  kNothing,   ///< nothing had come
  kBlocked,   ///< the peer takes no more; what is left is kept until the socket is writable
  kEnded,     ///< the connection is over, and to be closed
};

/// The receive buffer of one server, and what its few blocked connections have yet to be sent.
class Echo {
 public:
  explicit Echo(std::size_t buffer_bytes) : buffer_(buffer_bytes, '\0') {}

  Step receive(int socket) {
    const ssize_t got = recv(socket, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) return got < 0 && errno == EAGAIN ? Step::kNothing : Step::kEnded;
    const auto size = static_cast<std::size_t>(got);
    counts_.bytes += size;
    const ssize_t sent = send(socket, buffer_.data(), size, MSG_NOSIGNAL);
    if (sent != got) [[unlikely]]
      return keep(socket, {buffer_.data(), size}, sent);
    return size == buffer_.size() ? Step::kMore : Step::kAnswered;
  }

  /// Sends what is left; a socket for which nothing is left was answered.
  Step flush(int socket) {
    const auto found = unsent_.find(socket);
    if (found == unsent_.end()) return Step::kAnswered;
    const std::string rest = std::move(found->second);
    unsent_.erase(found);
    const ssize_t sent = send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    const bool all = sent >= 0 && static_cast<std::size_t>(sent) == rest.size();
    return all ? Step::kAnswered : keep(socket, rest, sent);
  }

  void forget(int socket) {
    if (!unsent_.empty()) unsent_.erase(socket);
  }

  [[nodiscard]] bool blocked(int socket) const {
    return !unsent_.empty() && unsent_.contains(socket);
  }
  [[nodiscard]] Counts& counts() { return counts_; }

 private:
  // What a send of `bytes` left, when it answered `sent`.
  Step keep(int socket, std::string_view bytes, ssize_t sent) {
    if (sent < 0 && errno != EAGAIN) return Step::kEnded;
    unsent_[socket] = bytes.substr(sent < 0 ? 0 : static_cast<std::size_t>(sent));
    return Step::kBlocked;
  }

  std::string buffer_;
  std::unordered_map<int, std::string> unsent_;
  Counts counts_;
};

}  // namespace bench
