// Standard error, told apart from whatever else may have descriptor 2.
#pragma once

namespace pollard::platform {

/// Notes which file descriptor 2 is and makes print_line() (base/standard_error.h) write to it. It
/// runs when the library is loaded, before the library makes a descriptor.
///
/// From then on, a line is written if descriptor 2 is still the same file, or has been redirected:
/// it was open at that time, and is now no socket and not close-on-exec. Descriptors that the
/// library makes are all close-on-exec. No line raises SIGPIPE.
void remember_standard_error() noexcept;

}  // namespace pollard::platform
