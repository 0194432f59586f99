// What is sent. While bytes are compared every connection has a stream of its own; otherwise all
// send the same few bytes, which stay in the cache and out of the server's way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace load {

class Payload {
 public:
  static constexpr std::size_t kLongest = std::size_t{256} * 1024;

  explicit Payload(bool verify);

  /// The bytes from `position` on in the stream of a connection; at most kLongest.
  [[nodiscard]] std::string_view bytes(std::size_t connection, std::uint64_t position,
                                       std::size_t count) const {
    return {table_.data() + (verify_ ? offset(connection, position) : 0), count};
  }

  /// Ends the program when bytes are compared and these are others.
  void check(std::size_t connection, std::uint64_t position, std::string_view received) const;

 private:
  // A prime, so that neither messages nor connections repeat each other.
  static constexpr std::size_t kPeriod = 262147;
  static constexpr std::size_t kStride = 7919;

  static std::size_t offset(std::size_t connection, std::uint64_t position) {
    return (connection * kStride + position) % kPeriod;
  }

  bool verify_;
  std::string table_;
};

}  // namespace load
