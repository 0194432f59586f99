#include "pollard/base/log.h"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace pollard::testing {
namespace {

using Lines = std::vector<std::string>;

// Collects what is logged, and restores the default afterwards.
class Captured {
 public:
  explicit Captured(LogLevel threshold) {
    set_log_sink(
        [this](LogLevel level, std::string_view message) {
          lines.push_back(std::string(to_string(level)) + ": " + std::string(message));
        },
        threshold);
  }
  ~Captured() { set_log_sink(nullptr); }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  Lines lines;
};

BOOST_AUTO_TEST_SUITE(logging)

BOOST_AUTO_TEST_CASE(it_is_quiet_below_warning_by_default) {
  set_log_sink(nullptr);
  BOOST_TEST(!log_enabled(LogLevel::kDebug));
  BOOST_TEST(!log_enabled(LogLevel::kInfo));
  BOOST_TEST(log_enabled(LogLevel::kWarning));
  BOOST_TEST(log_enabled(LogLevel::kError));
}

BOOST_AUTO_TEST_CASE(a_sink_gets_what_reaches_its_threshold) {
  const Captured captured(LogLevel::kInfo);
  log(LogLevel::kDebug, "too quiet");
  log(LogLevel::kInfo, "one");
  log(LogLevel::kError, "two");
  BOOST_TEST(captured.lines == (Lines{"info: one", "error: two"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_replaced_sink_is_destroyed_and_hears_no_more) {
  auto owned = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = owned;
  set_log_sink([owned = std::move(owned)](LogLevel, std::string_view) { ++*owned; });
  log(LogLevel::kError, "heard");
  BOOST_TEST(*watched.lock() == 1);
  const Captured captured(LogLevel::kDebug);
  BOOST_TEST(watched.expired());
}

// A sink whose captures log when they die must not meet its own lock.
BOOST_AUTO_TEST_CASE(a_sink_may_log_when_it_is_destroyed) {
  struct Last {
    ~Last() { log(LogLevel::kError, "the last word"); }
  };
  set_log_sink([last = std::make_unique<Last>()](LogLevel, std::string_view) {});
  const Captured captured(LogLevel::kDebug);
  BOOST_TEST(captured.lines == (Lines{"error: the last word"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_thread_at_a_time_is_in_the_sink) {
  std::atomic<int> inside = 0;
  int most = 0;
  int calls = 0;
  set_log_sink([&](LogLevel, std::string_view) {
    most = std::max(most, ++inside);
    ++calls;
    --inside;
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < 500; ++n) log(LogLevel::kError, "from a thread");
    });
  }
  for (std::thread& thread : threads) thread.join();
  set_log_sink(nullptr);
  BOOST_TEST(most == 1);
  BOOST_TEST(calls == 2000);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
