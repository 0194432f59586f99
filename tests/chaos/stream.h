// What the bytes of a stream are: its number, and behind it bytes that the number and their place
// tell, so that one that is missing, doubled or somebody else's shows wherever it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pollard::chaos {

/// The number of the stream stands at its beginning, the lowest byte first.
inline constexpr std::size_t kHeaderBytes = 8;

[[nodiscard]] inline char byte_of(std::uint64_t stream, std::uint64_t position) {
  if (position < kHeaderBytes) return static_cast<char>(stream >> (8 * position));
  const std::uint64_t mixed = (stream + 1) * 0x9e3779b97f4a7c15U + position * 0xbf58476d1ce4e5b9U;
  return static_cast<char>(mixed >> 56U);
}

[[nodiscard]] inline std::string stream_part(std::uint64_t stream, std::uint64_t from,
                                             std::size_t size) {
  std::string part(size, '\0');
  for (std::size_t i = 0; i < size; ++i) part[i] = byte_of(stream, from + i);
  return part;
}

/// The number at the beginning of `bytes`, of which there are enough.
[[nodiscard]] inline std::uint64_t stream_at(std::string_view bytes) {
  std::uint64_t stream = 0;
  for (std::size_t i = kHeaderBytes; i > 0; --i) {
    stream = stream << 8U | static_cast<unsigned char>(bytes[i - 1]);
  }
  return stream;
}

/// Whether `bytes` are those of the stream from there on.
[[nodiscard]] inline bool is_stream_part(std::uint64_t stream, std::uint64_t from,
                                         std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != byte_of(stream, from + i)) return false;
  }
  return true;
}

}  // namespace pollard::chaos
