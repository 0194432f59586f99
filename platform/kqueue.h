// kqueue's names, on every system. Where there is no kqueue the calls answer ENOSYS.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "pollard/base/clock.h"
#include "pollard/platform/features.h"
#include "pollard/platform/result.h"

#if POLLARD_HAS_KQUEUE
#include <sys/event.h>
#endif

namespace pollard::platform {

#if POLLARD_HAS_KQUEUE
using KernelEvent = struct ::kevent;
inline constexpr std::int64_t kFilterRead = EVFILT_READ;
inline constexpr std::int64_t kFilterWrite = EVFILT_WRITE;
inline constexpr std::uint32_t kEventAdd = EV_ADD;
inline constexpr std::uint32_t kEventDelete = EV_DELETE;
inline constexpr std::uint32_t kEventClear = EV_CLEAR;
inline constexpr std::uint32_t kEventReceipt = EV_RECEIPT;
inline constexpr std::uint32_t kEventError = EV_ERROR;
inline constexpr std::uint32_t kEventEnd = EV_EOF;
#else
// FreeBSD's layout and values, for systems that have none of their own.
struct KernelEvent {
  std::uintptr_t ident;
  std::int16_t filter;
  std::uint16_t flags;
  std::uint32_t fflags;
  std::int64_t data;
  void* udata;
};
inline constexpr std::int64_t kFilterRead = -1;
inline constexpr std::int64_t kFilterWrite = -2;
inline constexpr std::uint32_t kEventAdd = 0x0001;
inline constexpr std::uint32_t kEventDelete = 0x0002;
inline constexpr std::uint32_t kEventClear = 0x0020;
inline constexpr std::uint32_t kEventReceipt = 0x0040;
inline constexpr std::uint32_t kEventError = 0x4000;
inline constexpr std::uint32_t kEventEnd = 0x8000;
#endif

/// A change for a descriptor's filter. `udata` is a pointer's width: 32 bits are kept everywhere.
/// The fields' types differ between the systems (NetBSD's filter is unsigned, its udata was an
/// integer until 9), which ends here.
inline KernelEvent make_change(int fd, std::int64_t filter, std::uint32_t flags,
                               std::uint32_t udata) {
  KernelEvent change{};
  change.ident = static_cast<decltype(change.ident)>(fd);
  change.filter = static_cast<decltype(change.filter)>(filter);
  change.flags = static_cast<decltype(change.flags)>(flags);
  const auto value = static_cast<std::uintptr_t>(udata);
  static_assert(sizeof change.udata == sizeof value);
  std::memcpy(&change.udata, &value, sizeof value);  // a pointer here, an integer there
  return change;
}
inline int descriptor_of(const KernelEvent& event) { return static_cast<int>(event.ident); }
inline std::uint32_t udata_of(const KernelEvent& event) {
  std::uintptr_t value = 0;
  std::memcpy(&value, &event.udata, sizeof value);
  return static_cast<std::uint32_t>(value);
}
inline bool is_filter(const KernelEvent& event, std::int64_t filter) {
  return event.filter == static_cast<decltype(event.filter)>(filter);
}
inline bool has_flag(const KernelEvent& event, std::uint32_t flag) {
  return (static_cast<std::uint32_t>(event.flags) & flag) != 0;
}

/// kqueue(2), close-on-exec.
Result kqueue_create();
/// kevent(2); kNoTimeout blocks.
Result kqueue_wait(int queue, std::span<const KernelEvent> changes, std::span<KernelEvent> events,
                   Duration timeout);

}  // namespace pollard::platform
