#include "pollard/testkit/sim/kqueue.h"

#include <algorithm>

#include "pollard/testkit/sim/machine.h"

namespace pollard::sim {

using platform::has_flag;
using platform::KernelEvent;

namespace {

// What a change says to do, and an event doesn't repeat.
constexpr std::uint32_t kOrders =
    platform::kEventAdd | platform::kEventDelete | kEventEnable | kEventDisable;

template <class Flags>
void set_flag(Flags& flags, std::uint32_t flag, bool on) {
  const auto now = static_cast<std::uint32_t>(flags);
  flags = static_cast<Flags>(on ? now | flag : now & ~flag);
}

}  // namespace

KqueueFile::Note::Note(KqueueFile& queue, Key note_key, std::shared_ptr<File> watched)
    : queue_(queue), file_(std::move(watched)), key(note_key) {
  if (file_ != nullptr) file_->watch(*this);
}

KqueueFile::Note::~Note() {
  if (file_ != nullptr) file_->unwatch(*this);
}

void KqueueFile::Note::changed(const Change& change) {
  const bool concerned =
      key.second == platform::kFilterRead ? change.read_filter : change.write_filter;
  if (concerned && ask()) queue_.enqueue(*this);
}

void KqueueFile::Note::descriptor_closed(int fd) {
  if (key.first == static_cast<std::uintptr_t>(fd)) queue_.drop(key);
}

bool KqueueFile::Note::ask() {
  if (file_ == nullptr) return triggered;
  const FilterState state =
      key.second == platform::kFilterRead ? file_->read_filter() : file_->write_filter();
  event.data = static_cast<decltype(event.data)>(state.data);
  event.fflags = static_cast<decltype(event.fflags)>(state.error);
  set_flag(event.flags, platform::kEventEnd, state.end);
  return state.active;
}

void KqueueFile::Note::trigger(std::uint32_t fflags) {
  const std::uint32_t given = fflags & kNoteFlags;
  switch (fflags & kNoteCopy) {
    case kNoteAnd: saved_fflags &= given; break;
    case kNoteOr: saved_fflags |= given; break;
    case kNoteCopy: saved_fflags = given; break;
    default: break;
  }
  if ((fflags & kNoteTrigger) != 0) triggered = true;
}

KqueueFile::~KqueueFile() = default;

void KqueueFile::closed() {
  active_.clear();
  notes_.clear();
}

std::uint32_t KqueueFile::poll() { return read_filter().active ? kReadable : 0; }

FilterState KqueueFile::read_filter() {
  return {.active = !active_.empty(), .data = static_cast<std::int64_t>(active_.size())};
}

int KqueueFile::change(std::span<const KernelEvent> changes, std::span<KernelEvent> events) {
  std::size_t answers = 0;
  for (const KernelEvent& change : changes) {
    const int failure = make_change(change);
    if (failure == 0 && !has_flag(change, platform::kEventReceipt)) continue;
    if (answers == events.size()) return failure != 0 ? failure : static_cast<int>(answers);
    KernelEvent& answer = events[answers++];
    answer = change;
    answer.flags = static_cast<decltype(answer.flags)>(platform::kEventError);
    answer.data = -failure;
  }
  return static_cast<int>(answers);
}

int KqueueFile::make_change(const KernelEvent& change) {
  const Key key{static_cast<std::uintptr_t>(change.ident),
                static_cast<std::int64_t>(change.filter)};
  const bool of_file = key.second == platform::kFilterRead || key.second == platform::kFilterWrite;
  if (!of_file && key.second != kFilterUser) return -EINVAL;
  if (of_file && machine().find(platform::descriptor_of(change)) == nullptr) return -EBADF;
  const auto found = notes_.find(key);
  if (found == notes_.end()) {
    return has_flag(change, platform::kEventAdd) ? add(key, change) : -ENOENT;
  }
  if (!has_flag(change, platform::kEventDelete)) return modify(*found->second, change);
  drop(key);
  return 0;
}

int KqueueFile::add(Key key, const KernelEvent& change) {
  const bool user = key.second == kFilterUser;
  std::shared_ptr<File> file = user ? nullptr : machine().find(platform::descriptor_of(change));
  if (file != nullptr) {
    const int refused = file->refuses_filter(key.second == platform::kFilterWrite);
    if (refused != 0) return refused;
  }
  Note& note =
      *notes_.emplace(key, std::make_unique<Note>(*this, key, std::move(file))).first->second;
  note.event = change;
  set_flag(note.event.flags, kOrders, false);
  note.event.fflags = 0;
  note.event.data = 0;
  // A trigger in the change that makes the filter is not one.
  note.saved_fflags = static_cast<std::uint32_t>(change.fflags) & kNoteFlags;
  note.disabled = has_flag(change, kEventDisable);
  if (!note.disabled && note.ask()) enqueue(note);
  return 0;
}

// EV_ADD looks at the file again, so that an EV_CLEAR filter fires again if there still is a
// reason; so does enabling what was disabled, and on some systems every change. The flags stay
// those of the beginning.
int KqueueFile::modify(Note& note, const KernelEvent& change) {
  note.event.udata = change.udata;
  if (note.key.second == kFilterUser) note.trigger(static_cast<std::uint32_t>(change.fflags));
  const bool was_disabled = note.disabled;
  if (has_flag(change, kEventDisable)) {
    note.disabled = true;
    dequeue(note);
  }
  if (has_flag(change, kEventEnable)) note.disabled = false;
  const bool look = has_flag(change, platform::kEventAdd) || note.triggered ||
                    (was_disabled && !note.disabled) ||
                    machine().options.profile.every_change_evaluates;
  if (look && !note.disabled && note.ask()) enqueue(note);
  return 0;
}

void KqueueFile::drop(Key key) {
  const auto found = notes_.find(key);
  dequeue(*found->second);
  notes_.erase(found);
}

void KqueueFile::enqueue(Note& note) {
  if (note.disabled || note.queued) return;
  note.queued = true;
  active_.push_back(&note);
  notify(kInput);
}

void KqueueFile::dequeue(Note& note) {
  if (note.queued) std::erase(active_, &note);
  note.queued = false;
}

int KqueueFile::collect(std::span<KernelEvent> events) {
  std::size_t count = 0;
  for (std::size_t left = active_.size(); left > 0 && count < events.size(); --left) {
    Note& note = *active_.front();
    dequeue(note);
    if (note.ask()) report(note, events[count++]);
  }
  return static_cast<int>(count);
}

void KqueueFile::report(Note& note, KernelEvent& event) {
  event = note.event;
  if (note.key.second == kFilterUser) {
    event.fflags = static_cast<decltype(event.fflags)>(note.saved_fflags);
  }
  const bool clears = has_flag(note.event, platform::kEventClear);
  if (has_flag(note.event, kEventOneShot)) return drop(note.key);
  if (clears) note.triggered = false;
  if (has_flag(note.event, kEventDispatch)) {
    note.disabled = true;
  } else if (!clears) {
    note.queued = true;
    active_.push_back(&note);
  }
}

}  // namespace pollard::sim
