// Which Pollard this is.
#pragma once

#include <string_view>

namespace pollard {

/// The version of the library that the program is linked with, such as "0.1.0" (semantic versioning
/// 2.0.0; before 1.0 a minor release may change what users write against). Any thread.
[[nodiscard]] std::string_view version() noexcept;

}  // namespace pollard
