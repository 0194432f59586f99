// A call that is made later, once, possibly in another thread.
#pragma once

#include "pollard/base/move_function.h"

namespace pollard {

/// A function without arguments or result. It can be moved, not copied, so it may own anything.
using Task = MoveFunction<void()>;

}  // namespace pollard
