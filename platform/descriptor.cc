#include "pollard/platform/descriptor.h"

#include <fcntl.h>

#include "pollard/platform/system_calls.h"

namespace pollard::platform {

void close_descriptor(int fd) noexcept { system_calls().close(fd); }

bool is_open(int fd) noexcept { return system_calls().fcntl(fd, F_GETFD, 0) >= 0; }

}  // namespace pollard::platform
