// The generator's side of a connection.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace load {

/// A non-blocking connection to the server; the one of that number comes from an address of its own
/// among those of the loopback, so that ports don't run out.
int connect_to(std::uint16_t port, std::size_t number);

/// How many bytes went; zero when none can. Ends the program for an error.
std::size_t send_some(int socket, std::string_view bytes);

/// The bytes that came, in `buffer`; absent of them an empty view. Ends the program for an error
/// and for the server's end.
std::string_view receive_some(int socket, std::span<char> buffer);

/// The same where the server's end is awaited: true when it has come.
bool at_end(int socket);

class Epoll {
 public:
  Epoll();
  ~Epoll();
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;

  void add(int socket, std::uint32_t wanted, std::size_t number);

  /// Waits; the numbers of what is ready.
  std::span<const epoll_event> wait();

 private:
  static constexpr std::size_t kBatch = 1024;
  int epoll_;
  epoll_event ready_[kBatch];
};

}  // namespace load
