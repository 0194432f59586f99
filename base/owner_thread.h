// The thread that an object belongs to, for the assertion that a function of that thread makes.
//
//   class Session {
//     void answer() {
//       thread_.assert_current();
//       …
//     }
//     OwnerThread thread_ = loop.thread();
//   };
//
// Threads are numbered, because everything else that names one is given to another thread when it
// has ended: std::thread::id, the address of a thread-local object, the kernel's number.
#pragma once

#include <cstdint>

#include "pollard/base/assert.h"

namespace pollard {

/// Names one thread of this process, for as long as the process lives. Any thread may ask. One
/// comparison with a thread-local number.
class OwnerThread {
 public:
  /// Names the calling thread.
  OwnerThread() noexcept;

  /// Returns whether the calling thread is the named one.
  [[nodiscard]] bool is_current() const { return number_ == current_number; }

  /// Aborts when another thread calls.
  void assert_current() const {
    POLLARD_ASSERT(is_current(), "call this in the thread that the object belongs to");
  }

  /// Returns whether the calling thread has begun to end: it is destroying its thread-local
  /// objects, as it does before it is gone, and first of all in std::exit(). Only for a thread
  /// that an OwnerThread has named.
  [[nodiscard]] static bool current_is_ending() { return thread_is_ending; }

 private:
  struct EndMarker;

  static inline constinit thread_local std::uint64_t current_number = 0;  // 0: not numbered yet
  static inline constinit thread_local bool thread_is_ending = false;

  std::uint64_t number_;
};

}  // namespace pollard
