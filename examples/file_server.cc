// Serves the files below a folder over HTTP/1.0, by sendfile where the system has it.
//
//     file_server --listen=127.0.0.1:7008 --root=docs --threads=2
//     curl http://127.0.0.1:7008/testing.md
//
// What lies outside of the folder is never served, be it named by "..", in escapes, or by a
// symbolic link that leads there.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "pollard/net/loop/descriptors.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/tcp/tcp_server.h"
#include "support/http.h"
#include "support/options.h"
#include "support/serve.h"

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string listen = "127.0.0.1:7008";
  std::string root = ".";
  unsigned threads = 0;
  examples::HttpPatience patience;
};

// "/a%20b?c" is "/a b"; nothing for what is no path at all.
std::optional<std::string> path_of(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  if (!target.starts_with('/')) return std::nullopt;
  std::string path;
  for (std::size_t at = 0; at < target.size(); ++at) {
    char character = target[at];
    if (character == '%') {
      unsigned code = 0;
      const std::string_view digits = target.substr(at + 1, 2);
      const char* const end = digits.data() + digits.size();
      const auto [read, error] = std::from_chars(digits.data(), end, code, 16);
      if (error != std::errc() || digits.size() != 2 || read != end || code == 0) {
        return std::nullopt;
      }
      character = static_cast<char>(code);
      at += 2;
    }
    path += character;
  }
  return path;
}

// The regular file that a request means; nothing when there is none, or it lies outside.
std::optional<fs::path> find_file(const fs::path& root, const std::string& path) {
  std::error_code error;
  // Without "..", and without symbolic links: where it really is.
  const fs::path real = fs::canonical(root / path.substr(1), error);
  if (error) return std::nullopt;
  const auto [end_of_root, inside] = std::ranges::mismatch(root, real);
  // Opening a pipe would wait for whoever writes to it.
  if (end_of_root != root.end() || !fs::is_regular_file(real, error)) return std::nullopt;
  return real;
}

void answer_with_file(const pollard::TcpConnectionPtr& client, const fs::path& file, bool head) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(file, error);
  pollard::FileRegion region{.size = size};
  if (error || pollard::open_for_reading(file, region.file)) {
    client->send(examples::text_response("403 Forbidden", "it can't be read\n"));
    return;
  }
  client->send(examples::response_head("200 OK", "application/octet-stream", size));
  if (!head) client->send_file(std::move(region));
}

void answer(const pollard::TcpConnectionPtr& client, const examples::HttpRequest& request,
            const fs::path& root) {
  const bool head = request.method == "HEAD";
  if (request.method != "GET" && !head) {
    client->send(examples::text_response("400 Bad Request", "GET or HEAD, and a path\n"));
    return;
  }
  const std::optional<std::string> path = path_of(request.target);
  if (!path.has_value()) {
    client->send(examples::text_response("400 Bad Request", "that is no path\n"));
  } else if (const std::optional<fs::path> file = find_file(root, *path)) {
    answer_with_file(client, *file, head);
  } else {
    client->send(examples::text_response("404 Not Found", "no such file here\n"));
  }
}

void serve(const Options& options, const pollard::PollerChoice& poller) {
  pollard::raise_descriptor_limit(1U << 20U);
  const fs::path root = fs::canonical(options.root);
  if (!fs::is_directory(root)) {
    throw fs::filesystem_error("serving", root, std::make_error_code(std::errc::not_a_directory));
  }

  pollard::EventLoop loop({.poller = poller});
  pollard::TcpServer server(
      loop, pollard::HostPort::parse(options.listen),
      examples::one_request_each(
          options.patience,
          [root](const pollard::TcpConnectionPtr& client, const examples::HttpRequest& request) {
            answer(client, request, root);
          }),
      {.threads = options.threads,
       .connection = {.timeouts = examples::request_limits(options.patience)}});

  examples::serve_until_stopped(loop, server, 5s, "serving");
}

}  // namespace

int main(int argc, char** argv) try {
  const pollard::PollerChoice poller = pollard::poller_from_args(argc, argv);

  Options options;
  examples::Options app("Serves the files below a folder over HTTP/1.0.");
  app.add("--listen", options.listen,
          "127.0.0.1:7008, [::1]:7008, *:7008 (every interface) or unix:/path; 0: any port");
  app.add_folder("--root", options.root, "the folder");
  app.add_threads(options.threads);
  examples::add_patience_options(app, options.patience);
  if (const auto status = app.parse(argc, argv)) return *status;

  serve(options, poller);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "file_server: " << error.what() << '\n';
  return 1;
}
