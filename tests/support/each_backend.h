// A test body is written once and becomes a case in the suite of every registered backend, so that
// --run_test=kqueue/* and --run_test=*/some_case mean what they say:
//
//   POLLARD_EACH_BACKEND(a_timeout_is_never_early) {
//     const auto poller = make_poller(backend);
//     …
//   }
//
// Every body runs on two kernels. The suite "epoll" is epoll on the real one, "simulated-epoll" is
// the same on the simulated one (testkit/sim/). Where the real kernel lacks the mechanism, as
// Linux lacks kqueue, the suite "kqueue" runs on the simulated one, and says so.
//
// A backend that can't run anywhere has its cases shown as skipped, with the reason; one that is
// listed in the environment variable POLLARD_REQUIRED_POLLERS must run on the real kernel, and
// fails otherwise. A body that needs the real kernel says why (POLLARD_EACH_REAL_BACKEND), and is
// shown as skipped on the simulated one.
#pragma once

#include <boost/test/unit_test.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "pollard/poller/poller.h"

namespace pollard::testing {

/// What a suite of POLLARD_EACH_BACKEND_AND_TRIGGER runs with. Its suites are named after the
/// backend, which runs with the edges that it has; one with edges runs a second time without, as
/// "epoll-level".
struct BackendCase {
  std::string poller;
  Trigger trigger = Trigger::kLevel;
};

enum class Backends : unsigned char {
  kAll,
  kWithEdges,    ///< those that declare edges
  kEachTrigger,  ///< all, and those with edges a second time without
};

/// Notes a body from the constructor of a static; the macros below make one.
class EachBackend {
 public:
  using Body = std::function<void(const BackendCase&)>;
  /// Returns why the kernel in force lacks what the body needs; empty where it has it.
  using WhyNot = std::string (*)();
  /// `needs_real` is why it can't run on the simulated kernel; empty where it can.
  EachBackend(Backends backends, const char* name, Body body, const char* file, std::size_t line,
              const char* needs_real = "", WhyNot why_not = nullptr);
};

/// Runs the bodies on the simulated kernel alone, which answers like the system of that name:
/// "netbsd", say, or with sim::worst_settings(): "worst". Returns false where there is no such
/// profile. To be called before build_backend_suites().
[[nodiscard]] bool choose_profile(std::string_view name);

/// Builds the suites from what was noted and what the registry holds; main() calls it.
void build_backend_suites();

}  // namespace pollard::testing

#define POLLARD_BACKEND_TEST(backends, test_name, parameter, argument, needs_real, why_not)       \
  static void test_name(parameter);                                                               \
  static const ::pollard::testing::EachBackend test_name##_cases(                                 \
      ::pollard::testing::Backends::backends, #test_name,                                         \
      [](const ::pollard::testing::BackendCase& backend_case) { test_name(argument); }, __FILE__, \
      __LINE__, needs_real, why_not);                                                             \
  static void test_name([[maybe_unused]] parameter)

/// The body has a parameter `const std::string& backend`, the poller's name.
#define POLLARD_EACH_BACKEND(test_name)                                                      \
  POLLARD_BACKEND_TEST(kAll, test_name, const std::string& backend, backend_case.poller, "", \
                       nullptr)

/// The same, for what only the real kernel has; `why` says what.
#define POLLARD_EACH_REAL_BACKEND(test_name, why)                                             \
  POLLARD_BACKEND_TEST(kAll, test_name, const std::string& backend, backend_case.poller, why, \
                       nullptr)

/// The same, for the backends that have edges.
#define POLLARD_EACH_EDGE_BACKEND(test_name)                                                       \
  POLLARD_BACKEND_TEST(kWithEdges, test_name, const std::string& backend, backend_case.poller, "", \
                       nullptr)

/// The body has a parameter `const BackendCase& backend`.
#define POLLARD_EACH_BACKEND_AND_TRIGGER(test_name)                                             \
  POLLARD_BACKEND_TEST(kEachTrigger, test_name, const ::pollard::testing::BackendCase& backend, \
                       backend_case, "", nullptr)

/// As POLLARD_EACH_BACKEND_AND_TRIGGER, for what not every kernel has: where `why_not`
/// (EachBackend::WhyNot) gives a reason, the case is shown as skipped with it.
#define POLLARD_EACH_BACKEND_AND_TRIGGER_UNLESS(test_name, why_not)                             \
  POLLARD_BACKEND_TEST(kEachTrigger, test_name, const ::pollard::testing::BackendCase& backend, \
                       backend_case, "", why_not)

#define POLLARD_EACH_REAL_BACKEND_AND_TRIGGER(test_name, why)                                   \
  POLLARD_BACKEND_TEST(kEachTrigger, test_name, const ::pollard::testing::BackendCase& backend, \
                       backend_case, why, nullptr)
