#include "pollard/tests/support/watchdog.h"

#include <algorithm>
#include <boost/test/tree/observer.hpp>
#include <boost/test/unit_test.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace pollard::testing {
namespace {

using Clock = std::chrono::steady_clock;

// An emulated machine is many times slower, which POLLARD_TEST_PATIENCE=10 allows for.
int patience() {
  const char* const times = std::getenv("POLLARD_TEST_PATIENCE");
  return times == nullptr ? 1 : std::max(1, std::atoi(times));
}

class Watchdog final : public boost::unit_test::test_observer {
 public:
  Watchdog() : thread_([this] { watch(); }) {}

  ~Watchdog() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // After Boost.Test's own observers: one of them is not initialised until its turn has come
  // (1.74).
  int priority() override { return 5; }

  void test_unit_start(const boost::unit_test::test_unit& unit) override {
    if (unit.p_type != boost::unit_test::TUT_CASE) return;
    const std::lock_guard lock(mutex_);
    name_ = unit.full_name();
    set_limit(std::chrono::seconds(30));
  }

  void test_unit_finish(const boost::unit_test::test_unit& unit, unsigned long) override {
    if (unit.p_type != boost::unit_test::TUT_CASE) return;
    const std::lock_guard lock(mutex_);
    deadline_.reset();
  }

  void allow(std::chrono::seconds limit) {
    const std::lock_guard lock(mutex_);
    set_limit(limit);
  }

 private:
  void set_limit(std::chrono::seconds limit) {
    limit_ = limit * patience();
    deadline_ = Clock::now() + limit_;
    changed_.notify_all();
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      if (!deadline_.has_value()) {
        changed_.wait(lock);
      } else if (Clock::now() < *deadline_) {
        changed_.wait_until(lock, Clock::time_point(*deadline_));
      } else {
        bark();
      }
    }
  }

  [[noreturn]] void bark() const {
    std::fprintf(stderr, "error: test case \"%s\" still runs after %lld seconds\n", name_.c_str(),
                 static_cast<long long>(limit_.count()));
    // Boost.Test's handler would jump into the main thread's stack from here.
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string name_;
  std::chrono::seconds limit_{};
  std::optional<Clock::time_point> deadline_;
  bool ended_ = false;
  std::thread thread_;  // the last member: it uses the others
};

Watchdog& watchdog() {
  static Watchdog only;
  return only;
}

}  // namespace

void install_watchdog() { boost::unit_test::framework::register_observer(watchdog()); }

void allow_time(std::chrono::seconds limit) { watchdog().allow(limit); }

}  // namespace pollard::testing
