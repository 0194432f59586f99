// A file of the real kernel, which the simulated one can read and send.
#pragma once

#include <string>

namespace pollard::fault_run {

/// Made once, in the process that first asks for it, and removed at the end of that process.
class TemporaryFile {
 public:
  [[nodiscard]] static const TemporaryFile& shared();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& contents() const { return contents_; }

 private:
  TemporaryFile();
  ~TemporaryFile();

  const std::string contents_;
  const std::string path_;
};

}  // namespace pollard::fault_run
