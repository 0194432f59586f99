#include "support/server_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace bench {

ServerOptions read_server_options(int argc, char** argv, ServerOptions options) {
  CLI::App app("Sends back what it gets, in one thread, until SIGTERM.");
  app.add_option("--port", options.port, "on 127.0.0.1; 0: a free one");
  app.add_option("--buffer", options.buffer_bytes, "bytes that are received at a time")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 30U));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

}  // namespace bench
