// The sockets of servers that call the system themselves.
#pragma once

#include <cstdint>
#include <string>

namespace bench {

/// Ends the program with the name of the call and errno's text.
[[noreturn]] void die(const std::string& call);

/// Non-blocking, on 127.0.0.1. Ends the program where it can't be had.
int listen_on_loopback(std::uint16_t port);
std::uint16_t port_of(int listener);

/// The next connection, non-blocking and without Nagle's delay, as all servers of the bench have
/// it; -1 when there is none.
int accept_one(int listener);
void set_no_delay(int socket);

/// Readable once the program is asked to end, by SIGTERM or SIGINT, which do nothing else.
int stop_descriptor();

}  // namespace bench
