// A file descriptor with an owner: closed when the owner dies, and by nobody else.
#pragma once

#include <utility>

namespace pollard::platform {

/// Closes `fd` through the system-call table. POSIX leaves the descriptor's state open after EINTR;
/// every system here has closed it by then, so there is never a second attempt. Any thread.
void close_descriptor(int fd) noexcept;

/// Whether `fd` is an open descriptor at all (fcntl F_GETFD). Any thread.
[[nodiscard]] bool is_open(int fd) noexcept;

/// Moved, not copied. One thread.
class Descriptor {
 public:
  Descriptor() = default;
  /// Owns `fd` from now on; a negative one is none.
  explicit Descriptor(int fd) : fd_(fd) {}
  /// The ownership moves along.
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  /// Likewise; what was owned is closed.
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  /// Negative when nothing is owned.
  [[nodiscard]] int get() const { return fd_; }
  /// Whether something is owned.
  explicit operator bool() const { return fd_ >= 0; }

  /// Gives the ownership away.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  /// Closes what is owned and owns `fd` instead.
  void reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    if (old >= 0) close_descriptor(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace pollard::platform
