#include "pollard/net/request_reader.h"

#include "pollard/net/request_connection.h"
#include "pollard/platform/time.h"

namespace pollard {

std::string_view to_string(WaitResult result) {
  switch (result) {
    case WaitResult::kDone: return "done";
    case WaitResult::kEnded: return "ended";
    case WaitResult::kDeadline: return "deadline";
    case WaitResult::kLimit: return "limit";
  }
  return "unknown";
}

std::size_t RequestReader::size() {
  connection_.collect_now();
  return blocks_.size();
}

bool RequestReader::ended() { return connection_.input_ended(); }

bool RequestReader::has(std::size_t count) {
  if (blocks_.size() < count) connection_.collect_now();
  return blocks_.size() >= count;
}

void RequestReader::note_taken(std::size_t count) {
  blocks_.consume(count);
  taken_ += count;
  examined_ = 0;
}

std::string_view RequestReader::take(std::size_t count) {
  const std::string_view bytes = blocks_.front(count);
  note_taken(count);
  return bytes;
}

std::optional<std::string_view> RequestReader::peek(std::size_t count) {
  if (!has(count)) return std::nullopt;
  return blocks_.front(count);
}

std::optional<std::string_view> RequestReader::next(std::size_t count) {
  if (!has(count)) return std::nullopt;
  return take(count);
}

bool RequestReader::skip(std::size_t count) {
  if (!has(count)) return false;
  note_taken(count);
  return true;
}

std::optional<std::string_view> RequestReader::until(std::string_view delimiter) {
  std::optional<std::size_t> at = blocks_.find(delimiter);
  if (!at.has_value()) {
    connection_.collect_now();
    at = blocks_.find(delimiter);
  }
  if (!at.has_value()) return std::nullopt;
  return take(*at + delimiter.size()).substr(0, *at);
}

ReadResult RequestReader::next(std::size_t count, MonotonicTime deadline) {
  if (!has(count)) {
    const WaitResult waited = connection_.await_input(count, deadline);
    if (waited != WaitResult::kDone) return {.result = waited};
  }
  return {.bytes = take(count)};
}

ReadResult RequestReader::until(std::string_view delimiter, MonotonicTime deadline) {
  while (true) {
    if (const auto bytes = until(delimiter)) return {.bytes = *bytes};
    if (blocks_.size() >= connection_.input_limit()) return {.result = WaitResult::kLimit};
    const WaitResult waited = connection_.await_input(blocks_.size() + 1, deadline);
    if (waited != WaitResult::kDone) return {.result = waited};
  }
}

ReadResult RequestReader::next(std::size_t count, Duration limit) {
  return next(count, saturating_add(platform::monotonic_now(), limit));
}

ReadResult RequestReader::until(std::string_view delimiter, Duration limit) {
  return until(delimiter, saturating_add(platform::monotonic_now(), limit));
}

}  // namespace pollard
