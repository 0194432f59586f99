#include "pollard/platform/select.h"

#include "pollard/platform/system_calls.h"
#include "pollard/platform/time.h"

namespace pollard::platform {

Result select_descriptors(int limit, SelectWord* readable, SelectWord* writable,
                          SelectWord* exceptional, Duration timeout) {
  const timespec remaining = to_timespec(timeout);
  return Result(system_calls().pselect(limit, readable, writable, exceptional,
                                       timeout == kNoTimeout ? nullptr : &remaining));
}

}  // namespace pollard::platform
