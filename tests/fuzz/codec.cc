#include "pollard/net/framing/codec.h"

#include <string>
#include <string_view>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/net/framing/framing.h"
#include "pollard/tests/fuzz/script.h"
#include "pollard/tests/support/frame_reader.h"

namespace pollard::fuzz {
namespace {

using testing::Read;

// What was received is the same when it is sent on. (Lines may end with a CR that none can be sent
// with.)
template <Codec Framing>
void check_messages(const Framing& codec, const Read& read) {
  std::string wire;
  std::vector<std::string> sent;
  for (const std::string& message : read.messages) {
    if (!append_framed(wire, codec, message)) sent.push_back(message);
  }
  const Read again = testing::read_in_pieces(codec, {wire});
  POLLARD_ASSERT(again.messages == sent, "what is sent on arrives as the same messages");
  POLLARD_ASSERT(again.rest.empty() && !again.error, "and as nothing else");
}

// What is found in a stream doesn't depend on where it is cut.
template <Codec Framing>
void check_cuts(const Framing& codec, std::string_view stream) {
  const Read whole = testing::read_in_pieces(codec, {stream});
  POLLARD_ASSERT(testing::read_bytewise(codec, stream) == whole, "byte by byte is as at once");
  for (std::size_t cut = 1; cut < stream.size(); ++cut) {
    const Read read = testing::read_in_pieces(codec, {stream.substr(0, cut), stream.substr(cut)});
    POLLARD_ASSERT(read == whole, "in two pieces is as at once");
  }
  check_messages(codec, whole);
}

// Any text is refused, or is one message to whoever receives it.
template <Codec Framing>
void check_sending(const Framing& codec, std::string_view message) {
  std::string wire;
  if (append_framed(wire, codec, message)) {
    POLLARD_ASSERT(wire.empty(), "what is refused adds nothing");
    return;
  }
  const Read read = testing::read_bytewise(codec, wire);
  POLLARD_ASSERT(read.messages.size() == 1 && read.messages.front() == message,
                 "one message was sent, and one arrives");
  POLLARD_ASSERT(read.rest.empty() && !read.error, "and nothing else");
}

template <Codec Framing>
void check(const Framing& codec, Script& script) {
  constexpr std::size_t kMost = 300;  // every cut of it is made
  check_sending(codec, script.next_text(script.next()));
  check_cuts(codec, script.next_text(kMost));
}

LengthPrefixedCodec::Options lengths(std::uint8_t choice, std::size_t limit) {
  return {.bytes = 1U << choice % 4,
          .order = (choice & 4U) != 0 ? std::endian::little : std::endian::big,
          .includes_itself = (choice & 8U) != 0,
          .limit = limit};
}

}  // namespace

void fuzz_codec(Bytes bytes) {
  Script script(bytes);
  const std::uint8_t kind = script.next();
  const std::uint8_t choice = script.next();
  // The largest limit there is, or one that is met.
  const std::size_t limit = (choice & 16U) != 0 ? SIZE_MAX : script.next();
  switch (kind % 4) {
    case 0: return check(LengthPrefixedCodec(lengths(choice, limit)), script);
    case 1: {
      const std::string delimiter(script.next_text(choice % 8 + 1U));
      return delimiter.empty() ? void()
                               : check(DelimitedCodec(delimiter, {.limit = limit}), script);
    }
    case 2: {
      const LineCodec::End end = choice % 2 == 0 ? LineCodec::End::kLf : LineCodec::End::kCrLf;
      return check(LineCodec({.limit = limit, .end = end}), script);
    }
    default: return check(FixedSizeCodec(choice + 1U), script);
  }
}

}  // namespace pollard::fuzz
