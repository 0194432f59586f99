// What the runtimes of sanitizers ask a test program for when it starts. Other programs ignore it.

extern "C" {

const char* __tsan_default_suppressions();

// A signal handler of the library makes one system call. On the simulated kernel, and in a fault
// run, a stand-in for that call takes memory. raise() runs the handler there, so the handler
// interrupts no allocation.
const char* __tsan_default_suppressions() {
  return "signal:pollard::sim::\n"
         "signal:pollard::fault_run::\n";
}

}  // extern "C"
