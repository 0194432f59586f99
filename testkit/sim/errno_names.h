// Every errno that this system has, by name: for tests that let a call fail in each way.
#pragma once

#include <span>
#include <string_view>

namespace pollard::sim {

/// An errno and its name, like {2, "ENOENT"}.
struct ErrnoName {
  int number;
  std::string_view name;
};

/// Lists the errnos of this system's <errno.h>, each number once (EAGAIN, not EWOULDBLOCK).
[[nodiscard]] std::span<const ErrnoName> errno_names();

/// Returns the number of the errno of this name, synonyms included, or 0 where this system has
/// none. Asserts that the name is one that some system has.
[[nodiscard]] int errno_named(std::string_view name);

}  // namespace pollard::sim
