// The matrix as a person reads it.
#include <algorithm>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pollard/testkit/conformance/conformance.h"

namespace pollard::conformance {
namespace {

constexpr std::size_t kPromiseWidth = 78;

const char* word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds: return "holds";
    case Verdict::kDoesNotHold: return "DOES NOT HOLD";
    case Verdict::kNotSupported: return "not supported";
  }
  return "";
}

std::size_t column_width(const Report& report) {
  std::size_t width = std::string_view(word(Verdict::kDoesNotHold)).size();
  for (const std::string& name : report.subjects) width = std::max(width, name.size());
  return width;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

void print_line(std::ostream& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out << line << '\n';
}

void print_matrix(std::ostream& out, const Report& report) {
  const std::size_t width = column_width(report);
  std::size_t chapter = chapters().size();
  std::string head = padded("", kPromiseWidth);
  for (const std::string& name : report.subjects) head += "  " + padded(name, width);
  print_line(out, head);
  for (const Report::Row& row : report.rows) {
    if (row.promise.chapter != chapter) {
      chapter = row.promise.chapter;
      out << '\n' << chapters()[chapter] << '\n';
    }
    std::string line = padded("  " + sentence(row.promise.name), kPromiseWidth);
    for (const Finding& finding : row.findings) line += "  " + padded(word(finding.verdict), width);
    print_line(out, line);
  }
}

std::string describe(const Report::Agreement& agreement) {
  return agreement.first + " and " + agreement.second + ", in lock-step with " +
         (agreement.trigger == Trigger::kEdge ? "edges" : "levels");
}

void print_agreements(std::ostream& out, const Report& report) {
  if (!report.agreements.empty()) out << "\nthe same answers as another poller\n";
  for (const Report::Agreement& agreement : report.agreements) {
    out << padded("  " + describe(agreement), kPromiseWidth) << "  "
        << word(agreement.finding.verdict) << '\n';
  }
}

// Each reason once, with how often and for whom it is given.
void print_unsupported(std::ostream& out, const Report& report) {
  std::map<std::pair<std::string, std::string>, int> reasons;
  for (const Report::Row& row : report.rows) {
    for (std::size_t i = 0; i < row.findings.size(); ++i) {
      const Finding& finding = row.findings[i];
      if (finding.verdict != Verdict::kNotSupported) continue;
      ++reasons[{report.subjects[i], finding.reason}];
    }
  }
  if (!reasons.empty()) out << '\n';
  for (const auto& [key, count] : reasons) {
    out << "skipped: " << count << " promises are not supported by " << key.first << ": "
        << key.second << '\n';
  }
}

void print_deviations(std::ostream& out, const Report& report) {
  for (const Report::Row& row : report.rows) {
    for (std::size_t i = 0; i < row.findings.size(); ++i) {
      const Finding& finding = row.findings[i];
      if (finding.verdict != Verdict::kDoesNotHold) continue;
      out << "\nFAILED: " << report.subjects[i] << ": " << sentence(row.promise.name) << "\n  "
          << finding.reason << '\n';
    }
  }
  for (const Report::Agreement& agreement : report.agreements) {
    if (agreement.finding.verdict != Verdict::kDoesNotHold) continue;
    out << "\nFAILED: " << describe(agreement) << "\n  " << agreement.finding.reason << '\n';
  }
}

}  // namespace

void print(std::ostream& out, const Report& report) {
  print_matrix(out, report);
  print_agreements(out, report);
  print_unsupported(out, report);
  print_deviations(out, report);
  out << '\n'
      << report.count(Verdict::kHolds) << " passed, " << report.failed() << " failed, "
      << report.count(Verdict::kNotSupported) << " skipped\n";
}

}  // namespace pollard::conformance
