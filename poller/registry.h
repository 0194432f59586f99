// Which pollers there are, which of them work here, and which one a loop gets.
//
// A choice is a list of names, "epoll" or "kqueue,poll": the first that works is taken, and when
// none does, that is an error which says what was asked for, why it can't be had and what can.
// There is no fallback that the user didn't write, and none for a shortage: when descriptors or
// memory are too short to try a poller, that is the error. Without a choice in the code (which
// includes the flag, by poller_from_args) the environment variable POLLARD_POLLER decides, and
// without that the best that works.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "pollard/poller/poller.h"

namespace pollard {

/// One kind of poller.
struct PollerBackend {
  /// What it is chosen by: letters, digits, '_' and '-'.
  std::string name;
  PollerCapabilities capabilities;  ///< what its pollers declare
  /// Makes one; throws std::system_error naming the call where it can't. Any thread.
  std::function<std::unique_ptr<Poller>()> create;
  /// Does real work with the mechanism: an empty string if it works, otherwise why it doesn't, in
  /// words for a person. May be left out: then one is made and has to report a byte in a pipe.
  std::function<std::string()> probe = {};
};

/// All registered pollers in order of preference, ours first. Any thread.
[[nodiscard]] std::vector<PollerBackend> registered_pollers();

/// Adds a poller under a name of its own, behind those that are there. Throws std::system_error:
/// file_exists when the name is taken, invalid_argument for a name that can't be chosen or an entry
/// without `create`. Any thread; it stays registered until the program ends.
void register_poller(PollerBackend entry);

/// Why `entry` doesn't work here; empty when it does. Runs its probe.
[[nodiscard]] std::string why_unusable(const PollerBackend& entry);

/// A list of names, and who asked for it, so that the error can say so. Empty: no opinion.
struct PollerChoice {
  /// Who chose, in the order of precedence.
  enum class Source : std::uint8_t { kCode, kFlag, kEnvironment, kDefault };

  PollerChoice() = default;
  /// A list that the code names.
  PollerChoice(const char* list) : names(list) {}  // NOLINT(google-explicit-constructor)
  /// Likewise.
  PollerChoice(std::string list) : names(std::move(list)) {}  // NOLINT(google-explicit-constructor)
  /// A list that `from` names.
  PollerChoice(std::string list, Source from) : names(std::move(list)), source(from) {}

  std::string names;              ///< the list, with commas
  Source source = Source::kCode;  ///< for the text of an error
};

/// "the program", "--poller", "POLLARD_POLLER" or "the default".
[[nodiscard]] std::string_view to_string(PollerChoice::Source source);

/// Takes every `--poller=NAMES` and `--poller NAMES` out of the arguments, as far as a "--", and
/// answers the last one; an empty choice when there is none. Throws std::system_error
/// (invalid_argument) for a flag without names. `argc` and `argv` are those of main, argv[argc]
/// being null.
[[nodiscard]] PollerChoice poller_from_args(int& argc, char** argv);

/// The choice in force: `code` unless it is empty, else POLLARD_POLLER, else the best that works.
/// The environment is not asked in a set-id process.
[[nodiscard]] PollerChoice effective_choice(PollerChoice code);

/// The entry that `choice` leads to. Throws std::system_error with Error::kPollerUnknown for a name
/// that isn't registered, Error::kPollerUnusable when no name on the list works, invalid_argument
/// for a list that isn't one, and too_many_files_open or another shortage when there are not
/// descriptors or memory enough to try one (three descriptors are needed).
[[nodiscard]] PollerBackend resolve(const PollerChoice& choice);

/// effective_choice(), resolve() and create() in one.
[[nodiscard]] std::unique_ptr<Poller> make_poller(PollerChoice code = {});

}  // namespace pollard
