// The simulated kernel's table of system calls: what each call does with the machine in force.
#pragma once

#include "pollard/platform/system_calls.h"

namespace pollard::sim {

struct Machine;

/// The table works on this machine from now on; null when there is none any more.
void set_machine(Machine* machine);

[[nodiscard]] const platform::SystemCalls& simulated_system_calls();

}  // namespace pollard::sim
