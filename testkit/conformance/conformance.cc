#include "pollard/testkit/conformance/conformance.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/testkit/conformance/differential.h"
#include "pollard/testkit/conformance/finding.h"
#include "pollard/testkit/conformance/promises.h"
#include "pollard/testkit/conformance/trial.h"

namespace pollard::conformance {
namespace {

constexpr std::array<std::string_view, kChapters> kChapterTitles = {
    "levels, and nothing but what is wanted",
    "one event a descriptor and wait",
    "what readable and writable mean",
    "Interest::kNone is silence",
    "a registration that has ended is over",
    "what can't be watched is refused",
    "timeouts",
    "waits that fail",
    "edges",
    "changes are cheap",
    "batches are bounded and fair",
    "processes",
};

void append(std::vector<Promise>& all, std::vector<Promise> more) {
  all.insert(all.end(), more.begin(), more.end());
}

std::vector<Promise> collect_promises() {
  std::vector<Promise> all;
  append(all, level_promises());
  append(all, transition_promises());
  append(all, random_promises());
  append(all, meaning_promises());
  append(all, end_of_stream_promises());
  append(all, ended_registration_promises());
  append(all, refusal_promises());
  append(all, wait_promises());
  append(all, edge_promises());
  append(all, batch_promises());
  append(all, process_promises());
  std::ranges::stable_sort(all, {}, &Promise::chapter);
  return all;
}

// Each with every other; with edges, which few have, also with another of its own kind.
std::vector<Report::Agreement> compare_all(const std::vector<Subject>& subjects) {
  std::vector<Report::Agreement> agreements;
  const auto add = [&](const Subject& first, const Subject& second, Trigger trigger) {
    agreements.push_back({.first = first.name,
                          .second = second.name,
                          .trigger = trigger,
                          .finding = compare(first, second, {.trigger = trigger})});
  };
  for (auto first = subjects.begin(); first != subjects.end(); ++first) {
    for (auto second = first; second != subjects.end(); ++second) {
      if (first != second) add(*first, *second, Trigger::kLevel);
      const bool edges = first->capabilities.edge_triggered && second->capabilities.edge_triggered;
      if (edges) add(*first, *second, Trigger::kEdge);
    }
  }
  return agreements;
}

void need(const Promise& promise, const Subject& subject) {
  if (promise.needs == Needs::kEdges && !subject.capabilities.edge_triggered) {
    throw NotSupported("it declares edge_triggered = false");
  }
  if (promise.needs == Needs::kRealKernel && !is_real_kernel()) {
    throw NotSupported("a simulated kernel has no signals, other processes or devices");
  }
}

}  // namespace

std::string sentence(std::string_view name) {
  std::string text(name);
  std::ranges::replace(text, '_', ' ');
  return text;
}

Subject subject(std::string name, PollerCapabilities capabilities,
                std::function<std::unique_ptr<Poller>()> create) {
  return {
      .name = std::move(name),
      .capabilities = capabilities,
      .create = [create = std::move(create)] { return std::make_unique<DrivenPoller>(create()); }};
}

Subject subject(const PollerBackend& entry) {
  return subject(entry.name, entry.capabilities, entry.create);
}

Subject registered_subject(const std::string& name) { return subject(resolve(name)); }

std::vector<Subject> usable_subjects() {
  std::vector<Subject> usable;
  for (const PollerBackend& entry : registered_pollers()) {
    if (why_unusable(entry).empty()) usable.push_back(subject(entry));
  }
  return usable;
}

std::span<const std::string_view> chapters() { return kChapterTitles; }

const std::vector<Promise>& promises() {
  static const std::vector<Promise> all = collect_promises();
  return all;
}

Finding check(const Promise& promise, const Subject& subject) {
  return find_out([&] {
    need(promise, subject);
    Trial trial(subject);
    promise.check(trial);
  });
}

std::size_t Report::count(Verdict verdict) const {
  std::size_t count = 0;
  for (const Row& row : rows) {
    count += static_cast<std::size_t>(std::ranges::count(row.findings, verdict, &Finding::verdict));
  }
  for (const Agreement& agreement : agreements) {
    if (agreement.finding.verdict == verdict) ++count;
  }
  return count;
}

Report run(const std::vector<Subject>& subjects, const Options& options) {
  Report report;
  for (const Subject& subject : subjects) report.subjects.push_back(subject.name);
  for (const Promise& promise : promises()) {
    if (std::string_view(promise.name).find(options.promise) == std::string_view::npos) continue;
    Report::Row row{.promise = promise};
    for (const Subject& subject : subjects) {
      if (options.before_check) options.before_check(subject, promise);
      row.findings.push_back(check(promise, subject));
    }
    report.rows.push_back(std::move(row));
  }
  if (options.promise.empty()) report.agreements = compare_all(subjects);
  return report;
}

}  // namespace pollard::conformance
