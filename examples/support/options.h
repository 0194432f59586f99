// The programs' options. CLI11 reads them, in options.cc alone: its header takes longer to compile
// than any of the programs.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace examples {

/// For the end of --help; the flag itself is taken by pollard::poller_from_args().
inline constexpr auto* kAboutPoller =
    "--poller=NAMES chooses the poller, as does the variable POLLARD_POLLER.";

/// Reads a program's options into its variables, which must outlive this. --help shows each with
/// the value that its variable has when it is added.
class Options {
 public:
  /// `about` begins --help, `footer` ends it.
  explicit Options(const std::string& about, const std::string& footer = kAboutPoller);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  void add(const std::string& name, std::string& value, const std::string& help);
  void add_required(const std::string& name, std::string& value, const std::string& help);
  /// Adds an option that names a folder, which must exist.
  void add_folder(const std::string& name, std::string& value, const std::string& help);
  void add_flag(const std::string& name, bool& value, const std::string& help);
  /// Adds --threads.
  void add_threads(unsigned& threads);

  /// Adds a whole number from `least` to `most`.
  template <std::unsigned_integral Number>
  void add(const std::string& name, Number& value, const std::string& help, std::uint64_t least = 0,
           std::uint64_t most = std::numeric_limits<Number>::max()) {
    const auto assign = [&value](std::uint64_t given) { value = static_cast<Number>(given); };
    add_whole(name, value, assign, help, least, most);
  }

  /// Adds a number from `least` to `most`.
  void add(const std::string& name, double& value, const std::string& help, double least,
           double most);

  /// Adds a whole number of seconds, from one to those of a day.
  void add(const std::string& name, std::chrono::seconds& value, const std::string& help);

  /// Refuses command lines that have both.
  void exclude(const std::string& one, const std::string& other);

  /// Returns the status that the program has to end with, where the user asked for --help or an
  /// option is wrong; it has been printed then. Nothing when the program is to run.
  [[nodiscard]] std::optional<int> parse(int argc, char** argv);

 private:
  void add_whole(const std::string& name, std::uint64_t value,
                 const std::function<void(std::uint64_t)>& assign, const std::string& help,
                 std::uint64_t least, std::uint64_t most);

  const std::unique_ptr<CLI::App> app_;
};

}  // namespace examples
