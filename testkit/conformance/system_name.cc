#include "pollard/testkit/conformance/system_name.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace pollard::conformance {
namespace {

utsname ask() {
  utsname names{};
  ::uname(&names);
  return names;
}

// "Linux 6.1", of "Linux 6.1.0 x86_64": up to what follows the second number.
std::string version_of(const std::string& name) {
  const std::size_t first = name.find('.');
  return name.substr(0, std::min(name.find_first_of(".- ", first + 1), name.size()));
}

}  // namespace

std::string system_name() {
  const utsname names = ask();
  return std::string(names.sysname) + " " + names.release + " " + names.machine;
}

bool same_version(const std::string& one, const std::string& other) {
  return version_of(one) == version_of(other);
}

std::string golden_file_name() {
  std::string name = ask().sysname;
  std::ranges::transform(name, name.begin(), [](unsigned char letter) {
    return static_cast<char>(std::tolower(letter));
  });
  return name + ".txt";
}

}  // namespace pollard::conformance
