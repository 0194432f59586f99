#include "pollard/net/tcp/internal/acceptor_group.h"

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include "pollard/net/names/resolver.h"

namespace pollard {
namespace {

// A port that was free at one address may be taken at the next; how many are tried.
constexpr int kPortTries = 16;

bool is_ipv4(const Address& address) { return address.is_ipv4(); }

bool is_not_of_this_machine(std::error_code error) {
  return error == std::errc::address_not_available ||
         error == std::errc::address_family_not_supported;
}

}  // namespace

std::vector<Address> addresses_to_listen_on(const HostPort& where, const ListenOptions& options) {
  std::vector<Address> addresses = Resolver::resolve_blocking(where);
  const bool one_was_meant = where.is_literal() && !where.is_wildcard();
  if (!options.ipv6_only || one_was_meant) return addresses;
  std::erase_if(addresses, is_ipv4);
  if (addresses.empty()) {
    throw std::system_error(std::make_error_code(std::errc::address_family_not_supported),
                            "listen on " + where.to_string() + " with IPv6 alone");
  }
  return addresses;
}

AcceptorGroup::AcceptorGroup(EventLoop& loop, const std::vector<Address>& addresses,
                             const ListenOptions& options, AcceptHandlers handlers)
    : handlers_(std::make_shared<const AcceptHandlers>(std::move(handlers))) {
  ListenOptions each = options;
  each.ipv6_only |= std::ranges::any_of(addresses, is_ipv4);
  for (int tries = 1; !bind_all(loop, addresses, each); ++tries) {
    if (tries == kPortTries) {
      throw std::system_error(std::make_error_code(std::errc::address_in_use),
                              "bind " + addresses.front().to_string() +
                                  " and its other addresses: no port is free at all of them");
    }
  }
}

// False when the port that the system chose for the first address is taken at another.
bool AcceptorGroup::bind_all(EventLoop& loop, const std::vector<Address>& addresses,
                             const ListenOptions& options) {
  acceptors_.clear();
  std::exception_ptr absent;
  for (const Address& address : addresses) {
    const bool any_port = !address.is_unix() && address.port() == 0;
    const bool port_was_chosen = any_port && !acceptors_.empty();
    const Address here =
        port_was_chosen ? address.with_port(acceptors_.front()->address().port()) : address;
    try {
      acceptors_.push_back(bind(loop, here, options));
    } catch (const std::system_error& error) {
      if (port_was_chosen && error.code() == std::errc::address_in_use) return false;
      if (!is_not_of_this_machine(error.code())) throw;
      absent = std::current_exception();
    }
  }
  if (acceptors_.empty()) std::rethrow_exception(absent);
  return true;
}

std::unique_ptr<Acceptor> AcceptorGroup::bind(EventLoop& loop, const Address& address,
                                              const ListenOptions& options) {
  return std::make_unique<Acceptor>(loop, address, options, handlers_);
}

void AcceptorGroup::listen() {
  for (const auto& acceptor : acceptors_) acceptor->listen();
}

void AcceptorGroup::pause() {
  for (const auto& acceptor : acceptors_) acceptor->pause();
}

void AcceptorGroup::resume() {
  for (const auto& acceptor : acceptors_) acceptor->resume();
}

std::vector<Address> AcceptorGroup::addresses() const {
  std::vector<Address> addresses;
  for (const auto& acceptor : acceptors_) addresses.push_back(acceptor->address());
  return addresses;
}

}  // namespace pollard
