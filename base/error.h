// The failures that no errno names. Everything the system reports stays a code of
// std::system_category(), comparable with std::errc; these are ours.
#pragma once

#include <system_error>

namespace pollard {

/// The failures of the library itself. Converts to std::error_code.
enum class Error {
  kForked = 1,         ///< a poller or loop of the parent process was used in a forked child
  kPollerUnknown,      ///< no poller of that name is registered
  kPollerUnusable,     ///< the named pollers exist, but none of them works here
  kSelfConnect,        ///< a connecting socket met itself (TCP simultaneous open, RFC 9293 3.5)
  kInputLimit,         ///< more unread input than ConnectionOptions::input_limit
  kOutputLimit,        ///< more unsent output than ConnectionOptions::output_limit
  kLoopClosed,         ///< the event loop has ended or was destroyed
  kNotConnected,       ///< the connection has ended, or its sending side has
  kLingerBlocks,       ///< a linger interval above zero, for which close(2) would block the loop
  kHostNotFound,       ///< no host of that name (EAI_NONAME of getaddrinfo(3), or no addresses)
  kServiceNotFound,    ///< no service of that name (EAI_SERVICE)
  kNameServiceBusy,    ///< the name can't be looked up at the moment (EAI_AGAIN)
  kNameServiceFailed,  ///< the name can't be looked up (EAI_FAIL)
  // Limits of time of a connection (Timeouts); all are equivalent to std::errc::timed_out.
  kFirstByteTimeout,   ///< nothing came at all
  kReadIdleTimeout,    ///< nothing came for too long
  kWriteIdleTimeout,   ///< nothing was sent for too long
  kWriteStallTimeout,  ///< the peer took nothing of what waits for it
  kIdleTimeout,        ///< nothing went either way for too long
  kLifetimeTimeout,    ///< the connection has lived for as long as it may
  // Of codecs.
  kMessageTooLong,    ///< a message longer than its codec's limit
  kMalformedMessage,  ///< bytes that are no message of the codec's kind
  kTruncatedMessage,  ///< the peer ended its stream in the middle of a message
};

/// The category named "pollard".
[[nodiscard]] const std::error_category& error_category() noexcept;
/// Makes a code of that category; std::error_code calls it when an Error is converted.
[[nodiscard]] std::error_code make_error_code(Error error) noexcept;

}  // namespace pollard

template <>
struct std::is_error_code_enum<pollard::Error> : std::true_type {};
