// The names of kqueue that the library has no use for, beside those of platform/kqueue.h: a
// kernel's users may use them all.
#pragma once

#include <cstdint>

#include "pollard/platform/kqueue.h"

namespace pollard::sim {

#if POLLARD_HAS_KQUEUE
inline constexpr std::int64_t kFilterUser = EVFILT_USER;
inline constexpr std::uint32_t kEventEnable = EV_ENABLE;
inline constexpr std::uint32_t kEventDisable = EV_DISABLE;
inline constexpr std::uint32_t kEventOneShot = EV_ONESHOT;
inline constexpr std::uint32_t kEventDispatch = EV_DISPATCH;
inline constexpr std::uint32_t kNoteTrigger = NOTE_TRIGGER;
inline constexpr std::uint32_t kNoteAnd = NOTE_FFAND;
inline constexpr std::uint32_t kNoteOr = NOTE_FFOR;
inline constexpr std::uint32_t kNoteCopy = NOTE_FFCOPY;
inline constexpr std::uint32_t kNoteFlags = NOTE_FFLAGSMASK;
#else
// FreeBSD's values.
inline constexpr std::int64_t kFilterUser = -11;
inline constexpr std::uint32_t kEventEnable = 0x0004;
inline constexpr std::uint32_t kEventDisable = 0x0008;
inline constexpr std::uint32_t kEventOneShot = 0x0010;
inline constexpr std::uint32_t kEventDispatch = 0x0080;
inline constexpr std::uint32_t kNoteTrigger = 0x01000000;
inline constexpr std::uint32_t kNoteAnd = 0x40000000;
inline constexpr std::uint32_t kNoteOr = 0x80000000;
inline constexpr std::uint32_t kNoteCopy = 0xc0000000;
inline constexpr std::uint32_t kNoteFlags = 0x00ffffff;
#endif

}  // namespace pollard::sim
