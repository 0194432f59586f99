#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/poller/registry.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/fuzz/script.h"

namespace pollard::fuzz {
namespace {

// A list names one that there is, or is refused with a reason that says what there is.
void check_list(const std::string& names) {
  try {
    const PollerBackend entry = resolve(PollerChoice(names));
    POLLARD_ASSERT(names.empty() || names.find(entry.name) != std::string::npos,
                   "who is chosen was named");
    POLLARD_ASSERT(make_poller(names)->name() == entry.name, "what is made is what was chosen");
  } catch (const std::system_error& error) {
    const bool expected = error.code() == Error::kPollerUnknown ||
                          error.code() == Error::kPollerUnusable ||
                          error.code() == std::errc::invalid_argument;
    POLLARD_ASSERT(expected, "a list is refused for a reason of its own");
  }
}

bool names_pollers(const std::string& argument) {
  return argument == "--poller" || argument.starts_with("--poller=");
}

// Everything that says which poller leaves the command line, as far as a "--", and nothing else.
void check_arguments(std::vector<std::string> words) {
  words.insert(words.begin(), "program");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  auto count = static_cast<int>(words.size());
  const auto before = static_cast<std::size_t>(count);
  try {
    const PollerChoice choice = poller_from_args(count, arguments.data());
    const auto after = static_cast<std::size_t>(count);
    POLLARD_ASSERT(after >= 1 && after <= before, "arguments leave, and none come");
    POLLARD_ASSERT(arguments[after] == nullptr, "argv ends with a null pointer");
    POLLARD_ASSERT((after == before) == choice.names.empty(), "what left is what was chosen");
    for (std::size_t i = 1; i < after && std::string(arguments[i]) != "--"; ++i) {
      POLLARD_ASSERT(!names_pollers(arguments[i]), "every choice left");
    }
  } catch (const std::system_error& error) {
    POLLARD_ASSERT(error.code() == std::errc::invalid_argument, "a flag wants names");
  }
}

}  // namespace

void fuzz_poller_choice(Bytes bytes) {
  const sim::Kernel kernel;
  const std::string text(bytes.begin(), bytes.end());
  check_list(text);
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\0', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  check_arguments(std::move(words));
}

}  // namespace pollard::fuzz
