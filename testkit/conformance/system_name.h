// What this machine's system calls itself: golden files are kept by it.
#pragma once

#include <string>

namespace pollard::conformance {

/// "Linux 6.1.0 x86_64": uname(3)'s system, release and machine.
[[nodiscard]] std::string system_name();

/// Whether two such names are of one system in one version: "Linux 6.1.0 …" and "Linux 6.1.9 …"
/// are, by the two numbers in front.
[[nodiscard]] bool same_version(const std::string& one, const std::string& other);

/// "linux.txt": the name of this system's golden file.
[[nodiscard]] std::string golden_file_name();

}  // namespace pollard::conformance
