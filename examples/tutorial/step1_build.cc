// Step 1: a program that is built with Pollard, and says which backends work on this machine.
#include <iostream>
#include <string>

#include "pollard/pollard.h"

int main() {
  std::cout << "Pollard " << pollard::version() << '\n';
  for (const pollard::PollerBackend& backend : pollard::registered_pollers()) {
    const std::string reason = pollard::why_unusable(backend);
    std::cout << "  " << backend.name << ": " << (reason.empty() ? "works" : reason) << '\n';
  }
}
