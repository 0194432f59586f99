// Runs the conformance kit over pollers and prints the matrix:
//
//     conformance --poller=epoll,poll --kernel=real --promise=timeout
//
// The last line is `N passed, N failed, N skipped`.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "pollard/testkit/conformance/check_watchdog.h"
#include "pollard/testkit/conformance/conformance.h"
#include "pollard/tests/conformance/program_options.h"

namespace {

using namespace pollard::conformance;

void list_promises(std::ostream& out) {
  for (const Promise& promise : promises()) out << promise.name << '\n';
}

int run_all(const ProgramOptions& options, const std::string& promise) {
  const KernelInForce kernel(options);
  CheckWatchdog watchdog(std::chrono::seconds(60));
  const Report report =
      run(subjects_of(options.pollers),
          {.promise = promise, .before_check = [&](const Subject& subject, const Promise& checked) {
             watchdog.begin(subject.name + ": " + sentence(checked.name));
           }});
  watchdog.end();
  if (report.rows.empty()) {
    std::cerr << "conformance: no promise's name contains '" << promise
              << "'; --list shows them all\n";
    return 2;
  }
  std::cout << kernel.describe() << "\n\n";
  print(std::cout, report);
  return report.failed() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) try {
  ProgramOptions options;
  std::string promise;
  bool list = false;
  CLI::App app("Checks that pollers keep the promises of Poller, one by one.");
  add_options(app, options);
  app.add_option("--promise", promise, "only promises whose names contain this");
  app.add_flag("--list", list, "the names of all promises, and no more");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    list_promises(std::cout);
    return 0;
  }
  return run_all(options, promise);
} catch (const std::exception& error) {
  std::cerr << "conformance: " << error.what() << '\n';
  return 2;
}
