// An open file of the simulated kernel: what descriptors stand for. Several descriptors may stand
// for one file; the last of them to be closed ends it.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pollard/testkit/sim/readiness.h"

namespace pollard::sim {

struct Machine;

/// Somebody who wants to know what becomes of a file: an epoll set's item, a kqueue's note.
class Watcher {
 public:
  virtual void changed(const Change& change) = 0;
  /// A descriptor of the file was closed; others may be left. May end the watcher.
  virtual void descriptor_closed(int fd) = 0;
  /// The last one was. Ends the watcher.
  virtual void file_closed() = 0;

 protected:
  ~Watcher() = default;
};

class File : public std::enable_shared_from_this<File> {
 public:
  explicit File(Machine& machine) : machine_(machine) {}
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// For people: "pipe, reading end".
  [[nodiscard]] virtual std::string describe() const = 0;

  /// Linux's bits. Not const: TCP remembers that somebody found no room (sock_poll does too).
  [[nodiscard]] virtual std::uint32_t poll() = 0;
  [[nodiscard]] virtual FilterState read_filter() = 0;
  [[nodiscard]] virtual FilterState write_filter() = 0;
  /// With what kqueue refuses to attach EVFILT_WRITE, or EVFILT_READ: a negated errno, or 0.
  [[nodiscard]] virtual int refuses_filter([[maybe_unused]] bool writing) const { return 0; }
  /// Whether epoll takes it.
  [[nodiscard]] virtual bool epollable() const { return true; }

  virtual std::ptrdiff_t read(std::span<std::byte>) { return -EINVAL; }
  virtual std::ptrdiff_t write(std::span<const std::byte>) { return -EINVAL; }

  /// O_NONBLOCK.
  bool nonblocking = false;

  void watch(Watcher& watcher) { watchers_.push_back(&watcher); }
  void unwatch(Watcher& watcher) { std::erase(watchers_, &watcher); }

  void descriptor_opened() { ++descriptors_; }
  void descriptor_closed(int fd);
  [[nodiscard]] bool has_descriptors() const { return descriptors_ > 0; }

 protected:
  /// The last descriptor was closed.
  virtual void closed() {}

  /// Tells the watchers, and whoever sleeps in this kernel.
  void notify(const Change& change);

  [[nodiscard]] Machine& machine() const { return machine_; }

 private:
  Machine& machine_;
  int descriptors_ = 0;
  std::vector<Watcher*> watchers_;
};

}  // namespace pollard::sim
