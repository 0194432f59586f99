// Ends the program when a check takes too long: a poller that sleeps for ever would otherwise keep
// its promises for ever.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace pollard::conformance {

class CheckWatchdog {
 public:
  explicit CheckWatchdog(std::chrono::seconds limit);
  ~CheckWatchdog();
  CheckWatchdog(const CheckWatchdog&) = delete;
  CheckWatchdog& operator=(const CheckWatchdog&) = delete;

  /// A check begins, and what was before it is over.
  void begin(std::string what);
  /// The last one is over.
  void end();

 private:
  using Clock = std::chrono::steady_clock;

  void watch();
  [[noreturn]] void bark() const;

  const std::chrono::seconds limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string what_;
  std::optional<Clock::time_point> deadline_;
  bool ended_ = false;
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace pollard::conformance
