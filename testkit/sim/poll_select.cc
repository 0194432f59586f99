#include "pollard/testkit/sim/poll_select.h"

#include <cstdint>

#include "pollard/testkit/sim/machine.h"
#include "pollard/testkit/sim/socket.h"

namespace pollard::sim {
namespace {

using platform::PollRecord;
using platform::SelectWord;

// What a call to select asks for with its three sets (select(2), "Correspondence between select()
// and poll() notifications").
constexpr std::uint32_t kSelectReadable = kReadable | kEpollHangup | kEpollError;
constexpr std::uint32_t kSelectWritable = kWritable | kEpollError;
constexpr std::uint32_t kSelectExceptional = kEpollUrgent;

// The bits of poll differ between the systems in one name.
short to_poll(std::uint32_t bits) {
  std::uint32_t ready = bits & (kReadable | kWritable | kEpollUrgent | kEpollError | kEpollHangup |
                                static_cast<std::uint32_t>(platform::kPollInvalid));
  if ((bits & kEpollPeerEnd) != 0) ready |= static_cast<std::uint32_t>(platform::kPollPeerEnd);
  return static_cast<short>(ready);
}

// poll's bits of a file, as the system has them. Where they come from the same place as kqueue's
// filters, a socket's hints are few.
std::uint32_t poll_bits(const Machine& machine, File& file) {
  const PollHints hints = machine.options.profile.poll_hints;
  if (hints == PollHints::kAll || dynamic_cast<Socket*>(&file) == nullptr) return file.poll();
  const FilterState read = file.read_filter();
  const FilterState write = file.write_filter();
  std::uint32_t bits = file.poll() & kEpollUrgent;
  if (read.active) bits |= kReadable;
  if (write.active) bits |= kWritable;
  if (machine.options.profile.has_poll_peer_end && read.end) bits |= kEpollPeerEnd;
  if (hints == PollHints::kBothEnds && read.end && write.end) bits |= kEpollHangup;
  return bits;
}

short poll_record(Machine& machine, const PollRecord& record) {
  if (record.fd < 0) return 0;
  const std::shared_ptr<File> file = machine.find(record.fd);
  if (file == nullptr) return platform::kPollInvalid;
  constexpr int kUnasked = platform::kPollError | platform::kPollHangup | platform::kPollInvalid;
  return static_cast<short>(to_poll(poll_bits(machine, *file)) & (record.events | kUnasked));
}

bool has(const SelectWord* set, int fd) {
  const auto number = static_cast<unsigned>(fd);
  return set != nullptr &&
         ((set[number / platform::kSelectWordBits] >> (number % platform::kSelectWordBits)) & 1U) !=
             0;
}

int put(SelectWord* set, int fd) {
  const auto number = static_cast<unsigned>(fd);
  set[number / platform::kSelectWordBits] |= SelectWord{1} << (number % platform::kSelectWordBits);
  return 1;
}

}  // namespace

int poll_now(Machine& machine, std::span<PollRecord> records) {
  int count = 0;
  for (PollRecord& record : records) {
    record.revents = poll_record(machine, record);
    if (record.revents != 0) ++count;
  }
  return count;
}

int select_now(Machine& machine, int limit, const SelectSets& asked, const SelectSets& found) {
  int count = 0;
  for (int fd = 0; fd < limit; ++fd) {
    const bool reads = has(asked.readable, fd);
    const bool writes = has(asked.writable, fd);
    const bool excepts = has(asked.exceptional, fd);
    if (!reads && !writes && !excepts) continue;
    const std::shared_ptr<File> file = machine.find(fd);
    if (file == nullptr) return -EBADF;
    const std::uint32_t bits = poll_bits(machine, *file);
    if (reads && (bits & kSelectReadable) != 0) count += put(found.readable, fd);
    if (writes && (bits & kSelectWritable) != 0) count += put(found.writable, fd);
    if (excepts && (bits & kSelectExceptional) != 0) count += put(found.exceptional, fd);
  }
  return count;
}

}  // namespace pollard::sim
