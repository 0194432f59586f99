#include "pipes/pipes.h"

#include <fcntl.h>
#include <unistd.h>

#include "support/sockets.h"

namespace bench {

Pipes::Pipes(std::size_t count) {
  pipes_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) die("pipe2");
    pipes_.push_back({ends[0], ends[1]});
  }
}

void Pipes::readable(std::size_t which) {
  char byte = 0;
  if (::read(pipes_[which].reading_end, &byte, 1) != 1) return;
  ++read_;
  if (writes_left_ == 0) return;
  --writes_left_;
  write(which + 1 == pipes_.size() ? 0 : which + 1);
}

void Pipes::begin(std::size_t active, std::uint64_t writes) {
  writes_left_ = writes;
  for (std::size_t i = 0; i < active; ++i) write(i * pipes_.size() / active);
}

void Pipes::write(std::size_t which) {
  const char byte = 'e';
  if (::write(pipes_[which].writing_end, &byte, 1) != 1) die("write to a pipe");
}

}  // namespace bench
