// libFuzzer's entry into the target that the build names.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "pollard/base/log.h"
#include "pollard/tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace pollard::fuzz;
  static const bool quiet = (pollard::set_log_sink({}, pollard::LogLevel::kError), true);
  static_cast<void>(quiet);
  static const Target& target =
      *std::ranges::find(kTargets, std::string_view(POLLARD_FUZZ_TARGET), &Target::name);
  target.run({bytes, size});
  return 0;
}
