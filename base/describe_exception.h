// An exception in words, for logs and reasons.
#pragma once

#include <exception>
#include <string>

namespace pollard {

/// Returns what() of a std::exception, or says that it is none. `exception` must not be null.
[[nodiscard]] std::string describe_exception(const std::exception_ptr& exception);

}  // namespace pollard
