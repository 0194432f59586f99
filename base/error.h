// The failures that no errno names. Everything the system reports stays a code of
// std::system_category(), comparable with std::errc; these are ours.
#pragma once

#include <system_error>

namespace pollard {

enum class Error {
  kForked = 1,      ///< a poller or loop of the parent process was used in a forked child
  kPollerUnknown,   ///< no poller of that name is registered
  kPollerUnusable,  ///< the named pollers exist, but none of them works here
  kSelfConnect,     ///< a connecting socket met itself (TCP simultaneous open, RFC 9293 3.5)
  kInputLimit,      ///< more unread input than ConnectionOptions::input_limit
  kOutputLimit,     ///< more unsent output than ConnectionOptions::output_limit
  kLoopGone,        ///< the event loop has ended or was destroyed
  kNotConnected,    ///< the connection has ended, or its sending side has
};

/// The category named "pollard".
[[nodiscard]] const std::error_category& error_category() noexcept;
[[nodiscard]] std::error_code make_error_code(Error error) noexcept;

}  // namespace pollard

template <>
struct std::is_error_code_enum<pollard::Error> : std::true_type {};
