#include "support/options.h"

#include <CLI/CLI.hpp>

namespace examples {

Options::Options(const std::string& about, const std::string& footer)
    : app_(std::make_unique<CLI::App>(about)) {
  app_->option_defaults()->always_capture_default();
  app_->footer(footer);
}

Options::~Options() = default;

void Options::add(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help);
}

void Options::add_required(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->required();
}

void Options::add_folder(const std::string& name, std::string& value, const std::string& help) {
  app_->add_option(name, value, help)->check(CLI::ExistingDirectory);
}

void Options::add_flag(const std::string& name, bool& value, const std::string& help) {
  app_->add_flag(name, value, help);
}

void Options::add_threads(unsigned& threads) {
  add("--threads", threads, "loops in threads of their own; 0: one for all", 0, 1024);
}

void Options::add(const std::string& name, double& value, const std::string& help, double least,
                  double most) {
  app_->add_option(name, value, help)->check(CLI::Range(least, most));
}

void Options::add(const std::string& name, std::chrono::seconds& value, const std::string& help) {
  const auto assign = [&value](std::uint64_t given) { value = std::chrono::seconds(given); };
  add_whole(name, static_cast<std::uint64_t>(value.count()), assign, help, 1, 86400);
}

void Options::exclude(const std::string& one, const std::string& other) {
  app_->get_option(one)->excludes(app_->get_option(other));
}

void Options::add_whole(const std::string& name, std::uint64_t value,
                        const std::function<void(std::uint64_t)>& assign, const std::string& help,
                        std::uint64_t least, std::uint64_t most) {
  app_->add_option_function<std::uint64_t>(name, assign, help)
      ->check(CLI::Range(least, most))
      ->default_str(std::to_string(value));
}

std::optional<int> Options::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    return app_->exit(error);
  }
}

}  // namespace examples
