// The one place where the library speaks: a replaceable sink, by default standard error and quiet
// below warning. The library logs what nobody's callback can be told; all else is an error code.
#pragma once

#include <cstdint>
#include <string_view>

#include "pollard/base/move_function.h"

namespace pollard {

/// How serious a message is, least first.
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

/// "debug", "info", "warning" or "error".
[[nodiscard]] std::string_view to_string(LogLevel level);

/// Gets each message, without a line's end; in any thread.
using LogSink = MoveFunction<void(LogLevel, std::string_view message)>;

/// Replaces the sink; an empty one restores the default, which writes to standard error. It never
/// raises SIGPIPE. It writes nothing if descriptor 2 was closed when the library was loaded, or has
/// become another file by accident (a socket, or what is close-on-exec). Messages below `threshold`
/// are not made. Any thread; the sink is called by one thread at a time, from whichever thread has
/// something to say, and must not log itself.
void set_log_sink(LogSink function, LogLevel threshold = LogLevel::kWarning);

/// Whether a message of this level goes anywhere: ask before composing an expensive one. Any
/// thread.
[[nodiscard]] bool log_enabled(LogLevel level);

/// Hands one message, without a line end, to the sink. Any thread.
void log(LogLevel level, std::string_view message);

}  // namespace pollard
