// Assertions that stay on in release builds: a broken invariant ends the program at once, with the
// reason, before it can become somebody's lost data. They are for our bugs and for a caller's
// misuse (a call from the wrong thread); the failures of the world are std::error_code.
#pragma once

namespace pollard {

/// Where an assertion stands; std::source_location is missing from Clang 14 with GCC's library.
struct AssertionPlace {
  const char* file;      ///< of the source
  unsigned line;         ///< in that file, from 1
  const char* function;  ///< the name alone
};

/// Prints `condition`, `why` and the place to standard error and aborts. Any thread.
[[noreturn]] void assertion_failed(const char* condition, const char* why,
                                   AssertionPlace where) noexcept;

}  // namespace pollard

/// Ends the program with `why`, the precondition that was violated, unless `condition` holds; also
/// in release builds. Any thread.
#define POLLARD_ASSERT(condition, why)                \
  (static_cast<bool>(condition)                       \
       ? static_cast<void>(0)                         \
       : ::pollard::assertion_failed(#condition, why, \
                                     ::pollard::AssertionPlace{__FILE__, __LINE__, __func__}))
