// As much of HTTP/1.0 (RFC 1945) as the example programs answer: one GET or HEAD, and the end.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "pollard/net/bytes/buffer.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/tcp_connection.h"
#include "support/options.h"

namespace examples {

struct HttpRequest {
  std::string method;  // empty: what came is not a request
  std::string target;  // "/path?query", as it came
};

inline constexpr std::size_t kLongestRequest = 8192;  // bytes of its head

/// Where the head of a request ends, behind the empty line. The first `examined` bytes were looked
/// at before.
inline std::optional<std::size_t> find_head(const pollard::Buffer& input, std::size_t examined) {
  constexpr std::size_t kOpen = 3;  // of the end's four bytes, so many may be there already
  const std::size_t from = examined - std::min(examined, kOpen);
  const auto with_returns = input.find("\r\n\r\n", from);
  const auto without = input.find("\n\n", from);
  if (without.has_value() && (!with_returns.has_value() || *without < *with_returns)) {
    return *without + 2;
  }
  if (with_returns.has_value()) return *with_returns + 4;
  return std::nullopt;
}

inline HttpRequest parse_head(std::string_view head) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return {};
  const std::size_t second = line.find(' ', first + 1);
  return {std::string(line.substr(0, first)),
          std::string(line.substr(first + 1, second - first - 1))};
}

/// `status` as in "200 OK".
inline std::string response_head(std::string_view status, std::string_view type,
                                 std::uint64_t length) {
  return "HTTP/1.0 " + std::string(status) + "\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(length) + "\r\nConnection: close\r\n\r\n";
}

/// A whole response of text.
inline std::string text_response(std::string_view status, std::string_view text) {
  return response_head(status, "text/plain; charset=utf-8", text.size()) + std::string(text);
}

/// How long clients may take.
struct HttpPatience {
  std::chrono::seconds request{10};  // for the whole head
  std::chrono::seconds stall{30};    // between two pieces of the answer that it takes
  std::chrono::seconds end{10};      // to go, when the kernel has the whole answer
};

inline void add_patience_options(Options& options, HttpPatience& patience) {
  options.add("--request-patience", patience.request, "seconds that a client has for its request");
  options.add("--end-patience", patience.end, "seconds that an answered client has to go");
}

/// Handlers of a server whose connections each have one request. `answer(client, request)` sends;
/// what the client sends behind its request is dropped.
template <class Answer>
pollard::ConnectionHandlers one_request_each(const HttpPatience& patience, Answer answer) {
  const auto end = [patience](const pollard::TcpConnectionPtr& client) {
    client->set_timeouts({.write_stall = patience.stall});
    client->shutdown();
  };
  return {
      .on_message =
          [answer = std::move(answer), end](const pollard::TcpConnectionPtr& client,
                                            pollard::Buffer& input) {
            if (!client->connected()) return input.clear();  // it has been answered
            const std::optional<std::size_t> head =
                find_head(input, client->unfinished().value_or(0));
            if (head.value_or(input.size()) > kLongestRequest) {
              client->send(text_response("431 Request Header Fields Too Large", "too long\n"));
            } else if (!head.has_value()) {
              client->set_busy(true);  // a server that stops gracefully waits for the rest
              return client->set_unfinished(input.size());
            } else {
              answer(client, parse_head(input.view().substr(0, *head)));
            }
            client->set_unfinished(std::nullopt);
            input.clear();
            end(client);
          },
      .on_write_complete =
          [patience](const pollard::TcpConnectionPtr& client) {
            client->force_close_after(patience.end);
          },
  };
}

/// Limits of such a connection until its request has come.
inline pollard::Timeouts request_limits(const HttpPatience& patience) {
  return {.first_byte = patience.request, .max_lifetime = patience.request};
}

}  // namespace examples
