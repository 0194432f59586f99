// What a program does with descriptors beside sockets: raises the limit of how many it may have,
// reads from a pipe or a terminal that a Channel watches, and opens a file that it sends.
//
//     raise_descriptor_limit(100'000);
//
// All of it goes through the library's table of system calls, so a test can run it on the simulated
// kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>

#include "pollard/platform/descriptor.h"

namespace pollard {

/// Raises the limit of open descriptors (RLIMIT_NOFILE, getrlimit(2)) as far as this process may,
/// at most to `wanted`, and never lowers it. Returns the limit that is in force afterwards, or 0 if
/// it is unknown. A connection takes one descriptor, and the usual limit is 1024. The library never
/// calls it: a program does, before it makes its loops. One thread at a time.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted);

/// Reads what `fd` has now, at most as much as fits into `space`, and stores in `count` how many
/// bytes came; zero is the end of the stream. One read(2), made again when a signal interrupted it:
/// it waits for input if `fd` is a blocking descriptor that isn't ready, so call it when a Channel
/// has reported `fd` as readable. Fails with std::errc::resource_unavailable_try_again when nothing
/// is there, and with what read(2) says; `count` is zero then. Any thread.
[[nodiscard]] std::error_code read_available(int fd, std::span<std::byte> space,
                                             std::size_t& count);

/// Opens the file at `path` for reading and stores its descriptor, which child processes don't
/// inherit, in `file`: for FileRegion, for example. Fails with what open(2) says, and leaves `file`
/// as it was then. Opening a pipe waits for its writer. Any thread.
[[nodiscard]] std::error_code open_for_reading(const std::string& path, platform::Descriptor& file);

}  // namespace pollard
