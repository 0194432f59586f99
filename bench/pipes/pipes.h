// Many pipes, of which a few are active at a time, in the style of libevent's own benchmark: a byte
// is written to some of them, and whoever reads one writes one to the next pipe, until so many
// bytes have been written. It shows what a loop costs by the number of its descriptors.
//
// A library offers a class with these functions, and a file of its own that calls main_of():
//
//   explicit Watches(Pipes& pipes);  // calls pipes.readable(which) for each of them that is
//   void run_once();                 // waits for something, and handles what there is
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/repeat.h"

namespace bench {

class Pipes {
 public:
  /// Ends the program where they can't be had.
  explicit Pipes(std::size_t count);

  [[nodiscard]] std::size_t size() const { return pipes_.size(); }
  [[nodiscard]] int reading_end(std::size_t which) const { return pipes_[which].reading_end; }

  /// Reads a byte, and passes one on while there are any to write.
  void readable(std::size_t which);

  /// Writes a byte to each of `active` pipes, at even distances; as many will be passed on as
  /// `writes` says.
  void begin(std::size_t active, std::uint64_t writes);

  [[nodiscard]] std::uint64_t read() const { return read_; }

 private:
  struct Pipe {
    int reading_end;
    int writing_end;
  };

  void write(std::size_t which);

  std::vector<Pipe> pipes_;
  std::uint64_t writes_left_ = 0;
  std::uint64_t read_ = 0;
};

/// --count is how many pipes there are, --repeat how many bytes are passed on.
template <class Watches>
int main_of_pipes(int argc, char** argv) {
  const RepeatOptions options = read_repeat_options(argc, argv, {"active-1", "active-100"},
                                                    {.count = 100, .repeat = 100'000});
  Pipes pipes(options.count);
  Watches watches(pipes);
  const std::size_t active = options.work == "active-1" ? 1 : 100;
  const Stopwatch stopwatch;
  pipes.begin(active, options.repeat);
  while (pipes.read() < active + options.repeat) watches.run_once();
  stopwatch.report(options.repeat);
  return 0;
}

}  // namespace bench
