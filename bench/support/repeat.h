// Programs that do one piece of work many times over, and nothing else: what one time costs is the
// difference of two runs of different lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

struct RepeatOptions {
  std::string work;          ///< one of the program's
  std::size_t count = 0;     ///< how many things there are that are worked on
  std::uint64_t repeat = 0;  ///< how often it is done
};

/// Reads --work, --count and --repeat, whose defaults are those of `options`. Ends the program for
/// --help and for what it can't read.
RepeatOptions read_repeat_options(int argc, char** argv, const std::vector<std::string>& works,
                                  RepeatOptions options);

/// One line of JSON: how often it was done, the time from then to now, and this process' processor
/// time so far.
class Stopwatch {
 public:
  Stopwatch();
  void report(std::uint64_t done) const;

 private:
  std::int64_t began_;
  std::int64_t processor_began_;
};

/// The same numbers for everybody, at a few instructions each.
class Dice {
 public:
  std::uint32_t roll(std::uint32_t sides) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(((state_ >> 32U) * sides) >> 32U);
  }

 private:
  std::uint64_t state_ = 1;
};

}  // namespace bench
