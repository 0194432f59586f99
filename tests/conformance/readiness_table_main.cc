// Prints the readiness table of this machine, or compares it with a file:
//
//     readiness_table --poller=kqueue --kernel=sim
//     readiness_table --compare=tests/conformance/golden/linux.txt
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "pollard/testkit/conformance/readiness_table.h"
#include "pollard/tests/conformance/program_options.h"

namespace {

using namespace pollard::conformance;

int print_differences(const std::string& path, const Table& seen) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("can't read " + path);
  const Table expected = read_table(file);
  bool broken = false;
  for (const Difference& difference : differences(expected, seen)) {
    std::cout << to_string(difference) << '\n';
    broken |= difference.guaranteed;
  }
  std::cout << (broken ? "differs from " : "agrees, in what is guaranteed, with ") << path << " ("
            << expected.system << ")\n";
  return broken ? EXIT_FAILURE : EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) try {
  ProgramOptions options;
  std::string compare;
  CLI::App app("Prints what pollers report of sockets, pipes and listeners in each state.");
  add_options(app, options);
  app.add_option("--compare", compare, "prints where the table differs from the one in this file");
  CLI11_PARSE(app, argc, argv);

  const KernelInForce kernel(options);
  Table table = take_table(subjects_of(options.pollers));
  table.system = kernel.describe();
  if (!compare.empty()) return print_differences(compare, table);
  print(std::cout, table);
  return EXIT_SUCCESS;
} catch (const std::exception& error) {
  std::cerr << "readiness_table: " << error.what() << '\n';
  return 2;
}
