#include "pollard/platform/select.h"

#include "pollard/platform/system_calls.h"
#include "pollard/platform/time.h"

namespace pollard::platform {

Result select_descriptors(int limit, SelectWord* readable, SelectWord* writable,
                          SelectWord* exceptional, std::optional<Duration> timeout) {
  const timespec remaining = to_timespec(timeout.value_or(Duration::zero()));
  return Result(system_calls().pselect(limit, readable, writable, exceptional,
                                       timeout.has_value() ? &remaining : nullptr));
}

}  // namespace pollard::platform
