#include "pollard/net/loop/descriptors.h"

#include "pollard/platform/io.h"
#include "pollard/platform/process.h"
#include "pollard/platform/result.h"

namespace pollard {

std::uint64_t raise_descriptor_limit(std::uint64_t wanted) {
  return platform::raise_descriptor_limit(wanted);
}

std::error_code read_available(int fd, std::span<std::byte> space, std::size_t& count) {
  const platform::Result got =
      platform::retry_interrupted([&] { return platform::read(fd, space); });
  count = got.ok() ? got.count() : 0;
  return got.error();
}

std::error_code open_for_reading(const std::string& path, platform::Descriptor& file) {
  const platform::Result opened = platform::open_for_reading(path.c_str());
  if (opened.ok()) file.reset(opened.descriptor());
  return opened.error();
}

}  // namespace pollard
