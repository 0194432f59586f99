// The bytes of a fuzzer as a sequence of decisions.
#pragma once

#include <algorithm>
#include <string_view>

#include "pollard/tests/fuzz/targets.h"

namespace pollard::fuzz {

class Script {
 public:
  explicit Script(Bytes bytes) : rest_(bytes) {}

  [[nodiscard]] bool over() const { return rest_.empty(); }
  /// The next byte; zero behind the end.
  std::uint8_t next() {
    if (rest_.empty()) return 0;
    const std::uint8_t byte = rest_.front();
    rest_ = rest_.subspan(1);
    return byte;
  }
  /// The next two bytes as a number.
  std::size_t next_size() {
    const std::size_t high = next();
    return high << 8U | next();
  }
  /// The next bytes as they are, at most so many.
  std::string_view next_text(std::size_t most) {
    const Bytes text = rest_.first(std::min(most, rest_.size()));
    rest_ = rest_.subspan(text.size());
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

 private:
  Bytes rest_;
};

}  // namespace pollard::fuzz
