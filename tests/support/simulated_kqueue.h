// A kqueue for systems that have none, so that the kqueue backend isn't compiled only but run: the
// calls kqueue and kevent, made of Linux's epoll and put into the system-call table. It follows
// what NetBSD was seen to do and FreeBSD's manual says, for what the backend uses:
//
//   - reading and writing are filters of their own, with an event each;
//   - EV_EOF comes with the data in front of the end; fflags holds the error of a connection;
//   - EV_ADD of a filter that is there changes it, and makes an EV_CLEAR filter look again;
//   - EV_DELETE of what isn't there is ENOENT, of a closed descriptor EBADF;
//   - a failed change, and any change with EV_RECEIPT, is answered by an event with EV_ERROR, and
//     then there are no others; without room for it, by the failure of the call;
//   - close() removes a descriptor's filters, whatever duplicates there are.
//
// The real thing decides; this finds what is wrong on our side of the call.
#pragma once

#include <memory>
#include <string>

#include "pollard/platform/system_calls.h"

namespace pollard::testing {

/// Why it can't be had; empty where it can: a system with epoll.
[[nodiscard]] std::string why_no_simulated_kqueue();

/// In force while it lives: made before the pollers that use it, destroyed after them.
class SimulatedKqueue {
 public:
  SimulatedKqueue();
  ~SimulatedKqueue();
  SimulatedKqueue(const SimulatedKqueue&) = delete;
  SimulatedKqueue& operator=(const SimulatedKqueue&) = delete;

 private:
  std::unique_ptr<platform::ScopedSystemCalls> installed_;
};

}  // namespace pollard::testing
