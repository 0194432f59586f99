#include "pollard/net/requests/request_reader.h"

#include <algorithm>

#include "pollard/net/requests/request_connection.h"
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

// ---- Time slices ----

void RequestReader::begin_call(Call call) {
  call_ = call;
  shown_ = 0;
}

// Whether the handler gets nothing more in this call.
bool RequestReader::yields() {
  if (call_ == Call::kTaken && connection_.should_yield()) call_ = Call::kYielded;
  return call_ == Call::kYielded;
}

// The handler keeps its worker by waiting: its answers leave, and it goes on.
void RequestReader::go_on_waiting() {
  if (call_ == Call::kYielded) call_ = Call::kTaken;
  connection_.renew_slice();
}

// ---- What there is ----

std::size_t RequestReader::size() {
  if (call_ == Call::kYielded) return shown_;
  connection_.collect_now();
  shown_ = blocks_.size();
  return shown_;
}

bool RequestReader::empty() {
  if (shown_ == 0 && yields()) return true;
  if (!has(1)) return true;
  shown_ = std::max<std::size_t>(shown_, 1);
  return false;
}

bool RequestReader::ended() { return call_ != Call::kYielded && connection_.input_ended(); }

bool RequestReader::has(std::size_t count) {
  if (blocks_.size() < count) connection_.collect_now();
  return blocks_.size() >= count;
}

bool RequestReader::may_take(std::size_t count) {
  return count <= shown_ || (!yields() && has(count));
}

std::optional<std::string_view> RequestReader::peek(std::size_t count) {
  if (call_ == Call::kYielded ? count > shown_ : !has(count)) return std::nullopt;
  shown_ = std::max(shown_, count);
  return blocks_.front(count);
}

// ---- Taking ----

void RequestReader::note_taken(std::size_t count) {
  blocks_.consume(count);
  taken_ += count;
  shown_ -= std::min(shown_, count);
  examined_ = 0;
  if (count > 0 && call_ == Call::kUntouched) call_ = Call::kTaken;
}

std::string_view RequestReader::take(std::size_t count) {
  const std::string_view bytes = blocks_.front(count);
  note_taken(count);
  return bytes;
}

std::optional<std::string_view> RequestReader::read(std::size_t count) {
  if (!may_take(count)) return std::nullopt;
  return take(count);
}

bool RequestReader::skip(std::size_t count) {
  if (!may_take(count)) return false;
  note_taken(count);
  return true;
}

std::optional<std::string_view> RequestReader::read_until(std::string_view delimiter) {
  if (yields()) return std::nullopt;
  return take_line(delimiter);
}

std::optional<std::string_view> RequestReader::take_line(std::string_view delimiter) {
  std::optional<std::size_t> at = blocks_.find(delimiter);
  if (!at.has_value()) {
    connection_.collect_now();
    at = blocks_.find(delimiter);
  }
  if (!at.has_value()) return std::nullopt;
  return take(*at + delimiter.size()).substr(0, *at);
}

// ---- Waiting ----

ReadResult RequestReader::read(std::size_t count, MonotonicTime deadline) {
  go_on_waiting();
  if (!has(count)) {
    const WaitResult waited = connection_.await_input(count, deadline);
    if (waited != WaitResult::kDone) return {.result = waited};
  }
  return {.bytes = take(count)};
}

ReadResult RequestReader::read_until(std::string_view delimiter, MonotonicTime deadline) {
  go_on_waiting();
  while (true) {
    if (const auto bytes = take_line(delimiter)) return {.bytes = *bytes};
    if (blocks_.size() >= connection_.input_limit()) return {.result = WaitResult::kLimit};
    const WaitResult waited = connection_.await_input(blocks_.size() + 1, deadline);
    if (waited != WaitResult::kDone) return {.result = waited};
  }
}

ReadResult RequestReader::read(std::size_t count, Duration limit) {
  return read(count, saturating_add(platform::monotonic_now(), limit));
}

ReadResult RequestReader::read_until(std::string_view delimiter, Duration limit) {
  return read_until(delimiter, saturating_add(platform::monotonic_now(), limit));
}

}  // namespace pollard
