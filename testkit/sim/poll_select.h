// poll(2) and select(2): each call asks every file it is given.
#pragma once

#include <span>

#include "pollard/platform/poll.h"
#include "pollard/platform/select.h"

namespace pollard::sim {

struct Machine;

/// Fills in what is ready now; how many records have something.
int poll_now(Machine& machine, std::span<platform::PollRecord> records);

struct SelectSets {
  platform::SelectWord* readable;
  platform::SelectWord* writable;
  platform::SelectWord* exceptional;
};

/// Fills `found` with what is ready now of what `asked` asks for; how many bits are set, or -EBADF
/// where a number is not open. Sets may be null.
int select_now(Machine& machine, int limit, const SelectSets& asked, const SelectSets& found);

}  // namespace pollard::sim
