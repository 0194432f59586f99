// What a handler on a worker writes to.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "pollard/base/clock.h"
#include "pollard/net/bytes/buffer.h"
#include "pollard/net/requests/request_reader.h"

namespace pollard {

/// What is written leaves when the handler returns, awaits input, or flushes. The thread of the
/// running handler.
class RequestWriter {
 public:
  RequestWriter(const RequestWriter&) = delete;
  RequestWriter& operator=(const RequestWriter&) = delete;

  /// Adds a copy.
  void append(std::string_view bytes) { output_.append(bytes); }
  /// Likewise.
  void append(std::span<const std::byte> bytes) { output_.append(bytes); }

  /// At least `count` bytes to be written in place, until the next change; commit() adds as many of
  /// them as were filled.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t count) { return output_.reserve(count); }
  /// Adds the first `count` bytes of what reserve() gave last.
  void commit(std::size_t count) { output_.commit(count); }

  /// Bytes that are written, and not flushed.
  [[nodiscard]] std::size_t size() const { return output_.size(); }

  /// Lets it leave, and doesn't wait.
  void flush();

  /// Waits until everything that was written has been handed to the kernel: the worker waits, never
  /// the loop. So a handler writes no faster than its peer reads.
  [[nodiscard]] WaitResult flush(MonotonicTime deadline);
  /// For so long from now on.
  [[nodiscard]] WaitResult flush(Duration limit);

 private:
  friend class RequestConnection;
  explicit RequestWriter(RequestConnection& connection) : connection_(connection) {}

  RequestConnection& connection_;
  Buffer output_;
};

}  // namespace pollard
