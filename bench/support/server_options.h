// The command line that all servers of the bench have in common.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench {

struct ServerOptions {
  std::uint16_t port = 0;  ///< on 127.0.0.1; zero: a free one
  std::size_t buffer_bytes = std::size_t{64} * 1024;
};

/// Reads the command line; ends the program for --help and for what it can't read. The defaults are
/// those of `options`.
ServerOptions read_server_options(int argc, char** argv, ServerOptions options = {});

}  // namespace bench
