// What the reader of a stream gets out of it with a codec, however the stream was cut on its way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/net/framing/codec.h"

namespace pollard::testing {

struct Read {
  std::vector<std::string> messages;
  std::error_code error;
  std::string rest;            // no whole message
  std::uint64_t examined = 0;  // bytes that decode() was asked to look at

  friend bool operator==(const Read& one, const Read& other) {
    return one.messages == other.messages && one.error == other.error && one.rest == other.rest;
  }
  friend std::ostream& operator<<(std::ostream& out, const Read& read) {
    for (const std::string& message : read.messages) out << '[' << message << ']';
    return out << read.error.message() << " rest [" << read.rest << ']';
  }
};

/// Reads as a connection does: in pieces, and no sooner again than the codec wants. Asserts that a
/// codec's answers make sense.
template <Codec Framing>
class FrameReader {
 public:
  explicit FrameReader(const Framing& codec) : codec_(codec) {}

  void feed(std::string_view piece) {
    if (read_.error) return;
    read_.rest += piece;
    while (!read_.error && read_.rest.size() >= needed_) step();
  }

  [[nodiscard]] const Read& read() const { return read_; }

 private:
  void step() {
    const Frame frame = codec_.decode(read_.rest, examined_);
    read_.examined += read_.rest.size() - examined_;
    examined_ = 0;
    needed_ = 1;
    switch (frame.kind) {
      case Frame::Kind::kError:
        POLLARD_ASSERT(static_cast<bool>(frame.error), "an error is one");
        read_.error = frame.error;
        read_.rest.clear();
        break;
      case Frame::Kind::kNeedMore:
        POLLARD_ASSERT(frame.total > read_.rest.size(), "more is needed than there is");
        POLLARD_ASSERT(frame.examined <= read_.rest.size(), "what is examined is there");
        needed_ = frame.total;
        examined_ = frame.examined;
        break;
      case Frame::Kind::kMessage:
        POLLARD_ASSERT(frame.total > 0 && frame.total <= read_.rest.size(), "a message is there");
        POLLARD_ASSERT(frame.skip + frame.size <= frame.total, "it lies in its frame");
        read_.messages.push_back(read_.rest.substr(frame.skip, frame.size));
        read_.rest.erase(0, frame.total);
        break;
    }
  }

  const Framing& codec_;
  Read read_;
  std::size_t examined_ = 0;
  std::size_t needed_ = 1;
};

template <Codec Framing>
Read read_in_pieces(const Framing& codec, const std::vector<std::string_view>& pieces) {
  FrameReader reader(codec);
  for (const std::string_view piece : pieces) reader.feed(piece);
  return reader.read();
}

template <Codec Framing>
Read read_bytewise(const Framing& codec, std::string_view stream) {
  FrameReader reader(codec);
  for (const char& byte : stream) reader.feed({&byte, 1});
  return reader.read();
}

}  // namespace pollard::testing
