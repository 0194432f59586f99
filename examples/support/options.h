// Options that most of the programs have, in the same words.
#pragma once

#include <CLI/CLI.hpp>

namespace examples {

inline void add_threads_option(CLI::App& app, unsigned& threads) {
  app.add_option("--threads", threads, "loops in threads of their own; 0: one for all")
      ->check(CLI::Range(0, 1024));
}

/// For the end of --help; the flag itself is taken by pollard::poller_from_args().
inline constexpr auto* kAboutPoller =
    "--poller=NAMES chooses the poller, as does the variable POLLARD_POLLER.";

}  // namespace examples
