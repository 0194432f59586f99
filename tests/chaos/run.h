// One run of one seed on one backend.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pollard::chaos {

struct RunOptions {
  std::string poller;
  std::uint64_t seed = 1;
  /// The last lines of the trace that are kept; zero: none.
  std::size_t trace_lines = 0;
  /// On this machine's kernel, where a run is no repetition of another.
  bool real_kernel = false;
  /// Makes what stands between the library and its kernel for the time of the run, to spoil one or
  /// the other.
  std::function<std::shared_ptr<void>()> mutation = {};
};

struct Outcome {
  std::vector<std::string> problems;
  std::deque<std::string> trace;
  std::map<std::string, std::uint64_t> faults;  ///< how often which befell
  std::uint64_t connections = 0;
  std::uint64_t bytes = 0;
  std::uint64_t calls = 0;
  std::uint64_t longest_idling = 0;
};

[[nodiscard]] Outcome run_seed(const RunOptions& options);

}  // namespace pollard::chaos
