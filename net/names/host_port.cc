#include "pollard/net/names/host_port.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

#include "pollard/base/quoted.h"

namespace pollard {
namespace {

bool is_letter(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}
bool is_digit(char character) { return character >= '0' && character <= '9'; }

// Letters, digits, '-', '.', '_', and for names of other alphabets all that isn't ASCII. Which of
// them exist is for others to say.
bool may_be_a_host(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char character) {
    return is_letter(character) || is_digit(character) || character == '-' || character == '.' ||
           character == '_' || static_cast<unsigned char>(character) >= 0x80;
  });
}

// A port's number, or a name as RFC 6335 5.1 has them, with the underscores that some have.
bool may_be_a_service(std::string_view text) {
  if (!text.empty() && std::ranges::all_of(text, is_digit)) {
    std::uint16_t port = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc();
  }
  return std::ranges::any_of(text, is_letter) && std::ranges::all_of(text, [](char character) {
           return is_letter(character) || is_digit(character) || character == '-' ||
                  character == '_';
         });
}

}  // namespace

HostPort::HostPort(const Address& address) : address_(address) {}

bool HostPort::read_name(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view host = text.substr(0, colon);
  const std::string_view service = text.substr(colon + 1);
  if (!may_be_a_host(host) || !may_be_a_service(service)) return false;
  host_ = host;
  service_ = service;
  return true;
}

std::error_code HostPort::parse(std::string_view text, HostPort& parsed) {
  HostPort made;
  const std::error_code no_address = Address::parse(text, made.address_);
  made.every_interface_ = !no_address && text.starts_with("*:");
  if (no_address && (text.starts_with("unix:") || !made.read_name(text))) return no_address;
  parsed = std::move(made);
  return {};
}

HostPort HostPort::parse(std::string_view text) {
  HostPort parsed;
  if (const std::error_code error = parse(text, parsed)) {
    throw std::system_error(
        error,
        "address " + quoted(text) +
            ": wanted is example.org:80, 192.0.2.1:80, [2001:db8::1]:80, *:80 or unix:/path");
  }
  return parsed;
}

std::string HostPort::to_string() const {
  if (every_interface_) return "*:" + std::to_string(address_.port());
  return is_literal() ? address_.to_string() : host_ + ':' + service_;
}

}  // namespace pollard
