#include "pollard/base/log.h"

#include <array>
#include <atomic>
#include <mutex>
#include <utility>

#include "pollard/base/standard_error.h"

namespace pollard {
namespace {

struct Sink {
  std::mutex mutex;
  LogSink function;
};

// Never destroyed: threads may still log while the program's statics are being torn down.
Sink& sink() {
  static Sink& only = *new Sink;
  return only;
}

constinit std::atomic<LogLevel> current_threshold{LogLevel::kWarning};

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kError: return "error";
  }
  return "unknown";
}

void set_log_sink(LogSink function, LogLevel threshold) {
  const std::lock_guard lock(sink().mutex);
  std::swap(sink().function, function);
  current_threshold.store(threshold, std::memory_order_relaxed);
}

bool log_enabled(LogLevel level) {
  return level >= current_threshold.load(std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view message) {
  if (!log_enabled(level)) return;
  const std::lock_guard lock(sink().mutex);
  if (sink().function) {
    sink().function(level, message);
    return;
  }
  const std::array<std::string_view, 5> line = {"pollard ", to_string(level), ": ", message, "\n"};
  print_line(line);
}

}  // namespace pollard
