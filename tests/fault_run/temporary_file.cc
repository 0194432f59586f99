#include "pollard/tests/fault_run/scenes/temporary_file.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "pollard/tests/fault_run/peer.h"
#include "pollard/tests/fault_run/strike.h"

namespace pollard::fault_run {
namespace {

std::string path_of_this_process() {
  const std::string name = "pollard-fault-run-" + std::to_string(::getpid());
  return (std::filesystem::temp_directory_path() / name).string();
}

}  // namespace

const TemporaryFile& TemporaryFile::shared() {
  const Truce truce;
  static const TemporaryFile file;
  return file;
}

TemporaryFile::TemporaryFile() : contents_(stream_of(200'000)), path_(path_of_this_process()) {
  std::ofstream(path_, std::ios::binary) << contents_;
}

TemporaryFile::~TemporaryFile() { static_cast<void>(std::remove(path_.c_str())); }

}  // namespace pollard::fault_run
