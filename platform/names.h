// Names to addresses by the system's own way: getaddrinfo(3), which asks /etc/hosts, DNS and
// whatever else the machine is set up for.
#pragma once

#include <string>
#include <system_error>
#include <vector>

#include "pollard/platform/endpoint.h"

namespace pollard::platform {

/// Blocks for as long as the name service does, which may be minutes; nothing can end it earlier.
/// `found` gets the endpoints for stream sockets, no two alike, in the order in which they should
/// be tried (RFC 6724). `service` is a port's number or name. Fails with an Error
/// (kHostNotFound, kServiceNotFound, kNameServiceBusy, kNameServiceFailed), with filename_too_long
/// for a name that is, or with what the system says. Any thread.
[[nodiscard]] std::error_code look_up(const std::string& host, const std::string& service,
                                      std::vector<Endpoint>& found);

}  // namespace pollard::platform
