// The conformance kit: whether a poller keeps the promises of Poller, one by one. Give it a way to
// make one, ours or yours:
//
//   using namespace pollard::conformance;
//   const Report report = run({subject("mine", kMyCapabilities, make_my_poller)});
//   print(std::cout, report);
//   return report.failed() == 0 ? 0 : 1;
//
// It prints a matrix of promises by pollers. A promise holds, or it does not hold, with what was
// seen instead, or it is not supported, with the declared capability that says so: what a poller
// doesn't declare isn't asked of it, and what it declares must be kept to the letter.
//
// The checks play with descriptors of their own (loopback alone) through the table of system calls,
// so they run on whatever kernel is in force. They need a few thousand descriptors (their limit is
// raised as far as the process may), SIGUSR1 for a moment, and some seconds; and nobody else's
// threads, for some of them fork, count system calls or make them fail.
#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/poller/poller.h"
#include "pollard/poller/registry.h"
#include "pollard/testkit/conformance/driven.h"

namespace pollard::conformance {

/// A poller that is put to the test.
struct Subject {
  std::string name;  ///< of its column
  /// What it declares.
  PollerCapabilities capabilities;
  /// Makes one; throws where it can't.
  std::function<std::unique_ptr<Driven>()> create;
};

/// A subject made by a function that makes pollers.
[[nodiscard]] Subject subject(std::string name, PollerCapabilities capabilities,
                              std::function<std::unique_ptr<Poller>()> create);
/// A subject as it is registered, or is going to be.
[[nodiscard]] Subject subject(const PollerBackend& entry);
/// The subject that is registered under this name. Throws std::system_error, with a message that
/// lists the pollers that work here, when there is none or it doesn't.
[[nodiscard]] Subject registered_subject(const std::string& name);
/// All registered pollers that work here.
[[nodiscard]] std::vector<Subject> usable_subjects();

/// What a check has to have, beside a poller.
enum class Needs : unsigned char {
  kNothing,
  kEdges,       ///< the capability edge_triggered
  kRealKernel,  ///< signals, other processes, devices: what a simulated kernel lacks
};

class Trial;

/// One promise, and the check of it.
struct Promise {
  /// The chapter of the contract that it belongs to: an index of chapters().
  std::size_t chapter = 0;
  /// What is promised, as an identifier: "a_timeout_is_never_early".
  const char* name = "";
  void (*check)(Trial&) = nullptr;  ///< tells the Trial what it sees
  Needs needs = Needs::kNothing;    ///< else it is not supported
};

/// The chapters of the contract, in order: "levels", "one event a descriptor and wait", …
[[nodiscard]] std::span<const std::string_view> chapters();
/// All promises, chapter by chapter.
[[nodiscard]] const std::vector<Promise>& promises();

/// Whether a backend keeps a promise; kNotSupported: it lacks the capability that the promise is for.
enum class Verdict : unsigned char { kHolds, kDoesNotHold, kNotSupported };

/// What a check has found.
struct Finding {
  Verdict verdict = Verdict::kHolds;  ///< one of three
  /// What was seen instead, or the capability that excuses it. Empty for what holds.
  std::string reason;
};

/// Checks one promise of one poller. Never throws: what a check meets is its finding.
[[nodiscard]] Finding check(const Promise& promise, const Subject& subject);

/// What of it to run.
struct Options {
  /// The promises whose names contain this; all by default.
  std::string promise;
  /// Called before each check: for progress, and for a watchdog.
  std::function<void(const Subject&, const Promise&)> before_check = {};
};

/// All findings, in order.
struct Report {
  std::vector<std::string> subjects;  ///< their names
  /// One promise, and how each subject keeps it.
  struct Row {
    Promise promise;                ///< the promise
    std::vector<Finding> findings;  ///< in the order of the subjects
  };
  std::vector<Row> rows;  ///< one for each promise
  /// Two subjects in lock-step on a random script.
  struct Agreement {
    std::string first;                  ///< the one
    std::string second;                 ///< the other
    Trigger trigger = Trigger::kLevel;  ///< of all their registrations
    Finding finding;                    ///< whether they agreed
  };
  std::vector<Agreement> agreements;  ///< one for each two subjects

  /// Findings with this verdict.
  [[nodiscard]] std::size_t count(Verdict verdict) const;
  /// Those that do not hold.
  [[nodiscard]] std::size_t failed() const { return count(Verdict::kDoesNotHold); }
};

/// Checks every promise of every subject, and, unless promises were chosen, each pair of subjects
/// against each other (differential.h).
[[nodiscard]] Report run(const std::vector<Subject>& subjects, const Options& options = {});

/// The matrix, and below it the reason of each deviation and of what is not supported. The last
/// line is "N passed, N failed, N skipped".
void print(std::ostream& out, const Report& report);

/// "a_timeout_is_never_early" as a person reads it: "a timeout is never early".
[[nodiscard]] std::string sentence(std::string_view name);

}  // namespace pollard::conformance
