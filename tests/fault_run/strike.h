// A table of system calls in front of the simulated kernel's that counts the calls of a scene and
// lets one of them fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/net/names/address.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/fault_run/errors.h"

namespace pollard::fault_run {

/// Which call fails, counted from 1, and with what. Zero: none.
struct Blow {
  std::uint64_t call = 0;
  int error = 0;
};

/// In force while it lives. One at a time. Any thread.
class Strike {
 public:
  explicit Strike(sim::Kernel& kernel, const Blow& blow, bool trace);
  ~Strike();
  Strike(const Strike&) = delete;
  Strike& operator=(const Strike&) = delete;

  /// Calls about this descriptor are neither counted nor struck.
  void spare(int fd);
  /// What the scene's name service answers for any name.
  void know(std::vector<Address> addresses);

  /// The calls so far, in their order.
  [[nodiscard]] std::vector<Kind> calls() const;
  [[nodiscard]] std::uint64_t count() const;
  /// What was struck; nothing when the scene made fewer calls, or another one in that place that
  /// has no such error.
  [[nodiscard]] std::optional<Kind> struck() const;
  /// What the blow may cost; kNone before it.
  [[nodiscard]] Harm harm() const;
  /// Whether it was output that the blow made the library lose.
  [[nodiscard]] bool struck_output() const;
  /// `recv(1004) = -104  [struck]`, and the lines that were noted.
  [[nodiscard]] std::vector<std::string> trace() const;
  void note(std::string_view line);
  /// Uses of a descriptor that isn't open.
  [[nodiscard]] std::vector<std::string> misuse() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// While it lives, nothing of this thread is counted, fails or runs short: for what a scene does to
/// look after itself.
class Truce {
 public:
  Truce();
  ~Truce();
  Truce(const Truce&) = delete;
  Truce& operator=(const Truce&) = delete;

 private:
  std::uint64_t allocations_left_;
};

}  // namespace pollard::fault_run
