// What a system call answers: a count or a descriptor, or the negated errno. The C library's errno
// is read once, at the bottom of system_calls.cc, and doesn't exist above it.
#pragma once

#include <cstddef>
#include <system_error>

#include "pollard/base/assert.h"

namespace pollard::platform {

/// One machine word, so it costs what the bare call costs.
class [[nodiscard]] Result {
 public:
  constexpr Result() = default;
  /// What the call answered: a count or descriptor, or a negated errno.
  constexpr explicit Result(std::ptrdiff_t value) : value_(value) {}
  /// One that failed like this.
  static constexpr Result failure(std::errc error) {
    return Result(-static_cast<std::ptrdiff_t>(error));
  }

  /// Whether the call succeeded.
  [[nodiscard]] constexpr bool ok() const { return value_ >= 0; }
  /// Whether it failed like this.
  [[nodiscard]] constexpr bool is(std::errc error) const {
    return value_ == -static_cast<std::ptrdiff_t>(error);
  }
  /// EAGAIN: nothing can be done now; wait for readiness.
  [[nodiscard]] constexpr bool would_block() const {
    return is(std::errc::resource_unavailable_try_again) || is(std::errc::operation_would_block);
  }
  /// EINTR: a signal came first (signal(7)).
  [[nodiscard]] constexpr bool interrupted() const { return is(std::errc::interrupted); }

  /// The answer of a call that succeeded.
  [[nodiscard]] std::size_t count() const {
    POLLARD_ASSERT(ok(), "a failed call has no count");
    return static_cast<std::size_t>(value_);
  }
  /// Likewise, of a call that makes one.
  [[nodiscard]] int descriptor() const {
    POLLARD_ASSERT(ok(), "a failed call has no descriptor");
    return static_cast<int>(value_);
  }

  /// The failure; a code that is false for a call that succeeded.
  [[nodiscard]] std::error_code error() const {
    return {ok() ? 0 : static_cast<int>(-value_), std::system_category()};
  }

 private:
  std::ptrdiff_t value_ = 0;
};

/// Makes a call again for as long as a signal interrupts it before it did anything.
template <class Call>
Result retry_interrupted(Call call) {
  for (;;) {
    const Result result = call();
    if (!result.interrupted()) return result;
  }
}

}  // namespace pollard::platform
