#include "pollard/platform/io.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "pollard/platform/failure.h"

namespace pollard::platform {

Result send_gathered(int fd, std::span<const std::span<const std::byte>> pieces) {
  std::array<iovec, kGatherLimit> vectors;
  const std::size_t count = std::min(pieces.size(), kGatherLimit);
  for (std::size_t i = 0; i < count; ++i) {
    // The interface is older than const: sendmsg doesn't write there.
    vectors[i].iov_base = const_cast<std::byte*>(pieces[i].data());  // NOLINT
    vectors[i].iov_len = pieces[i].size();
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  return Result(system_calls().sendmsg(fd, &message, kSendFlags));
}

namespace {

Result send_file_by_reading(int fd, int file, std::uint64_t offset, std::size_t size) {
  std::array<std::byte, 64 * 1024> space;
  const Result got = retry_interrupted([&] {
    return Result(system_calls().pread(file, space.data(), std::min(size, space.size()),
                                       static_cast<std::int64_t>(offset)));
  });
  if (!got.ok() || got.count() == 0) return got;
  return send(fd, std::span(space).first(got.count()));
}

}  // namespace

Result send_file(int fd, int file, std::uint64_t offset, std::size_t size) {
  // Linux moves at most 2^31 - 4096 bytes a call; a GiB is enough for all.
  constexpr std::size_t kMost = std::size_t{1} << 30U;
  const std::size_t wanted = std::min(size, kMost);
  if (wanted == 0) return Result(0);
  const Result sent(system_calls().sendfile(fd, file, static_cast<std::int64_t>(offset), wanted));
  // EINVAL and its like: not a file that can be mapped, or not a socket that takes one.
  const bool cannot = is_absent(sent) || sent.is(std::errc::invalid_argument) ||
                      sent.is(std::errc::not_supported) ||
                      sent.is(std::errc::operation_not_supported) ||
                      sent.is(std::errc::not_a_socket);
  return cannot ? send_file_by_reading(fd, file, offset, wanted) : sent;
}

Result read(int fd, std::span<std::byte> space) {
  return Result(system_calls().read(fd, space.data(), space.size()));
}

Result write(int fd, std::span<const std::byte> bytes) {
  return Result(system_calls().write(fd, bytes.data(), bytes.size()));
}

Result open_for_reading(const char* path) {
  return retry_interrupted(
      [path] { return Result(system_calls().open(path, O_RDONLY | O_CLOEXEC)); });
}

Result make_nonblocking(int fd) {
  const Result closes(system_calls().fcntl(fd, F_SETFD, FD_CLOEXEC));
  return closes.ok() ? Result(system_calls().fcntl(fd, F_SETFL, O_NONBLOCK)) : closes;
}

Result open_pipe(Descriptor& read_end, Descriptor& write_end) {
  int ends[2] = {-1, -1};
  Result made(system_calls().pipe2(ends, O_NONBLOCK | O_CLOEXEC));
  const bool atomic = !is_absent(made);
  if (!atomic) made = Result(system_calls().pipe(ends));
  if (!made.ok()) return made;
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  if (atomic) return made;
  const Result first = make_nonblocking(ends[0]);
  return first.ok() ? make_nonblocking(ends[1]) : first;
}

}  // namespace pollard::platform
