// What a handler on a worker reads from: the bytes that have come and are not taken yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "pollard/base/clock.h"
#include "pollard/net/bytes/internal/block_list.h"

namespace pollard {

class RequestConnection;

/// How a wait on a worker ended.
enum class WaitResult : std::uint8_t {
  kDone,
  kEnded,     ///< it won't come about any more: the peer has ended, or the connection has
  kDeadline,  ///< not in time
  kLimit,     ///< RequestServerOptions::input_limit has come, and the delimiter isn't in it
};

/// "done", "ended", "deadline" or "limit".
[[nodiscard]] std::string_view to_string(WaitResult result);

/// What a wait for input has brought.
struct ReadResult {
  WaitResult result = WaitResult::kDone;  ///< how it ended
  std::string_view bytes = {};            ///< when kDone

  /// Whether there are bytes.
  explicit operator bool() const { return result == WaitResult::kDone; }
};

/// Views lie where the bytes were received, and are copied together only when they are in two
/// pieces. They last until release(), or until the handler returns. The thread of the running
/// handler.
///
/// A handler may loop over read_until(), read() or skip() for as long as they give something: when
/// its time slice is over (RequestConnection::should_yield()), they and empty() say that there is
/// nothing more, and the handler is called again for what is left. What size() or peek() has shown
/// is given all the same; a loop over these has to ask should_yield() itself.
class RequestReader {
 public:
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// How many bytes there are now.
  [[nodiscard]] std::size_t size();
  /// Whether there are none now, or the time slice is over.
  [[nodiscard]] bool empty();
  /// No more will come than there are.
  [[nodiscard]] bool ended();

  // Nothing when there are not as many bytes now, or when the time slice is over.

  /// The first `count` bytes, which stay.
  [[nodiscard]] std::optional<std::string_view> peek(std::size_t count);
  /// The first `count` bytes, and takes them.
  [[nodiscard]] std::optional<std::string_view> read(std::size_t count);
  /// Takes `count` bytes unseen; false, and takes nothing, when there are not as many.
  bool skip(std::size_t count);
  /// What is in front of the delimiter, and takes both.
  [[nodiscard]] std::optional<std::string_view> read_until(std::string_view delimiter);
  /// Everything there is, in one piece, and takes it.
  [[nodiscard]] std::string_view read_all() { return *read(size()); }

  // These wait for what is missing: the worker, never the loop. What was written leaves first, and
  // also when nothing is missing, at the end of each time slice. A wait that fails takes nothing.

  /// As read(), by `deadline` (EventLoop::now() has the same clock).
  [[nodiscard]] ReadResult read(std::size_t count, MonotonicTime deadline);
  /// As read_until(), by `deadline`. A handler that gets kLimit, and takes nothing, loses its
  /// connection by Error::kInputLimit.
  [[nodiscard]] ReadResult read_until(std::string_view delimiter, MonotonicTime deadline);
  /// For so long from now on.
  [[nodiscard]] ReadResult read(std::size_t count, Duration limit);
  /// Likewise.
  [[nodiscard]] ReadResult read_until(std::string_view delimiter, Duration limit);

  /// How far a codec has looked at what it could not take yet, so that it needn't look again;
  /// taking anything begins anew.
  [[nodiscard]] std::size_t examined() const { return examined_; }
  /// For a codec that leaves the beginning of a message.
  void set_examined(std::size_t count) { examined_ = count; }

  /// Frees what was taken: the views of it end. For handlers that take much before they return.
  void release() { blocks_.release(); }

 private:
  friend class RequestConnection;

  // How far a call of a handler has come.
  //
  //     kUntouched ──▶ kTaken ──▶ kYielded    kTaken: it has made progress, and may be asked to end
  //                      ▲___________│        kYielded: it was told that there is nothing more
  //
  // kLast is the call of on_disconnect, which is never asked to end.
  enum class Call : std::uint8_t { kUntouched, kTaken, kYielded, kLast };

  explicit RequestReader(RequestConnection& connection) : connection_(connection) {}

  void begin_call(Call call);
  [[nodiscard]] bool has_taken() const { return call_ == Call::kTaken || call_ == Call::kYielded; }
  [[nodiscard]] bool yields();
  void go_on_waiting();
  [[nodiscard]] bool has(std::size_t count);
  [[nodiscard]] bool may_take(std::size_t count);
  [[nodiscard]] std::optional<std::string_view> take_line(std::string_view delimiter);
  [[nodiscard]] std::string_view take(std::size_t count);
  void note_taken(std::size_t count);

  RequestConnection& connection_;
  BlockList blocks_;
  Call call_ = Call::kUntouched;
  std::size_t shown_ = 0;  // bytes at the front that size() or peek() has shown
  std::size_t taken_ = 0;  // not yet noted by the connection
  std::size_t examined_ = 0;
};

}  // namespace pollard
