#include "pollard/net/framing/codec.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace pollard {
namespace {

// No memory holds more, and sums of two don't overflow.
constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max();

std::uint64_t read_number(std::string_view bytes, std::endian order) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t at = order == std::endian::big ? i : bytes.size() - 1 - i;
    number = number << 8U | static_cast<unsigned char>(bytes[at]);
  }
  return number;
}

void write_number(std::uint64_t number, std::size_t size, std::endian order, char* bytes) {
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t at = order == std::endian::little ? i : size - 1 - i;
    bytes[at] = static_cast<char>(number & 0xffU);
    number >>= 8U;
  }
}

Envelope refused(Error error) { return {.error = error}; }

}  // namespace

// ---- LengthPrefixedCodec ----

LengthPrefixedCodec::LengthPrefixedCodec(Options options) : options_(options) {
  const unsigned bytes = options.bytes;
  if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) {
    throw std::invalid_argument("LengthPrefixedCodec: a length has 1, 2, 4 or 8 bytes, not " +
                                std::to_string(bytes));
  }
  const std::uint64_t largest = std::numeric_limits<std::uint64_t>::max() >> (64U - 8U * bytes);
  const std::uint64_t fits = options.includes_itself ? largest - bytes : largest;
  options_.limit = std::min({options.limit, kMost - bytes,
                             static_cast<std::size_t>(std::min<std::uint64_t>(fits, kMost))});
}

Frame LengthPrefixedCodec::decode(std::string_view input, std::size_t /*examined*/) const {
  const std::size_t head = options_.bytes;
  if (input.size() < head) return Frame::need(head);
  std::uint64_t size = read_number(input.substr(0, head), options_.order);
  if (options_.includes_itself) {
    if (size < head) return Frame::failed(Error::kMalformedMessage);
    size -= head;
  }
  if (size > options_.limit) return Frame::failed(Error::kMessageTooLong);
  const std::size_t total = head + static_cast<std::size_t>(size);
  if (input.size() < total) return Frame::need(total);
  return Frame::message(head, total - head, total);
}

Envelope LengthPrefixedCodec::envelope(std::string_view message) const {
  if (message.size() > options_.limit) return refused(Error::kMessageTooLong);
  Envelope envelope{.head_size = options_.bytes};
  const std::size_t counted = message.size() + (options_.includes_itself ? options_.bytes : 0);
  write_number(counted, options_.bytes, options_.order, envelope.head_bytes.data());
  return envelope;
}

// ---- DelimitedCodec ----

DelimitedCodec::DelimitedCodec(std::string delimiter, Options options)
    : delimiter_(std::move(delimiter)), options_(options) {
  if (delimiter_.empty()) {
    throw std::invalid_argument("DelimitedCodec: a delimiter has one byte at least");
  }
}

Frame DelimitedCodec::decode(std::string_view input, std::size_t examined) const {
  const std::size_t end = input.find(delimiter_, examined);
  if (end != std::string_view::npos) {
    if (end > options_.limit) return Frame::failed(Error::kMessageTooLong);
    return Frame::message(0, end, end + delimiter_.size());
  }
  // All but the last of the delimiter's bytes may be here already.
  const std::size_t open = std::min(input.size(), delimiter_.size() - 1);
  const std::size_t closed = input.size() - open;
  if (closed > options_.limit) return Frame::failed(Error::kMessageTooLong);
  return Frame::need(input.size() + 1, closed);
}

Envelope DelimitedCodec::envelope(std::string_view message) const {
  if (message.size() > options_.limit) return refused(Error::kMessageTooLong);
  // Also not half of one at the end, that the delimiter itself completes too early.
  const std::size_t open = std::min(message.size(), delimiter_.size() - 1);
  const std::string joint = std::string(message.substr(message.size() - open)) + delimiter_;
  const bool contains = message.find(delimiter_) != std::string_view::npos;
  if (contains || joint.find(delimiter_) != open) return refused(Error::kMalformedMessage);
  return {.tail = delimiter_};
}

// ---- Lines ----

Frame LineCodec::decode(std::string_view input, std::size_t examined) const {
  const std::size_t newline = input.find('\n', examined);
  const bool ended = newline != std::string_view::npos;
  // A CR at the end belongs to the line only if no LF follows.
  std::size_t size = ended ? newline : input.size();
  if (size > 0 && input[size - 1] == '\r') --size;
  if (size > options_.limit) return Frame::failed(Error::kMessageTooLong);
  if (!ended) return Frame::need(input.size() + 1, input.size());
  return Frame::message(0, size, newline + 1);
}

Envelope LineCodec::envelope(std::string_view message) const {
  if (message.size() > options_.limit) return refused(Error::kMessageTooLong);
  // A CR at the end would be taken for part of the line's end.
  if (message.find('\n') != std::string_view::npos || message.ends_with('\r')) {
    return refused(Error::kMalformedMessage);
  }
  return {.tail = options_.end == End::kLf ? "\n" : "\r\n"};
}

// ---- FixedSizeCodec ----

FixedSizeCodec::FixedSizeCodec(std::size_t size) : size_(size) {
  if (size == 0) throw std::invalid_argument("FixedSizeCodec: a message has one byte at least");
}

Frame FixedSizeCodec::decode(std::string_view input, std::size_t /*examined*/) const {
  return input.size() < size_ ? Frame::need(size_) : Frame::message(0, size_, size_);
}

Envelope FixedSizeCodec::envelope(std::string_view message) const {
  return message.size() == size_ ? Envelope() : refused(Error::kMalformedMessage);
}

}  // namespace pollard
