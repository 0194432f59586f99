// As much of HTTP/1.0 (RFC 1945) as the example programs answer: one GET or HEAD, and the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pollard/net/buffer.h"

namespace examples {

struct HttpRequest {
  std::string method;  // empty: what came is not a request
  std::string target;  // "/path?query", as it came
};

inline constexpr std::size_t kLongestRequest = 8192;

/// The request, when all of its head has come; it is taken out of `input`.
inline std::optional<HttpRequest> take_request(pollard::Buffer& input) {
  const auto with_returns = input.find("\r\n\r\n");
  const auto without = input.find("\n\n");
  if (!with_returns.has_value() && !without.has_value()) {
    if (input.size() <= kLongestRequest) return std::nullopt;
    return HttpRequest{};
  }
  const std::string head = input.take();
  const std::string_view line = std::string_view(head).substr(0, head.find_first_of("\r\n"));
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return HttpRequest{};
  const std::size_t second = line.find(' ', first + 1);
  return HttpRequest{std::string(line.substr(0, first)),
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

}  // namespace examples
