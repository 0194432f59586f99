// kqueue(2) as FreeBSD has it: filters that are keyed by a number and a kind, each active or not,
// and a queue of the active ones. A filter is asked when its file changes and again when it is
// about to be reported; then, without EV_CLEAR and EV_DISPATCH, it goes to the end of the queue for
// as long as it is active.
//
// The filters are EVFILT_READ, EVFILT_WRITE and EVFILT_USER; others are unknown here (EINVAL).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "pollard/testkit/sim/file.h"
#include "pollard/testkit/sim/kqueue_names.h"

namespace pollard::sim {

class KqueueFile final : public File {
 public:
  using File::File;
  ~KqueueFile() override;

  [[nodiscard]] std::string describe() const override { return "kqueue"; }
  std::uint32_t poll() override;
  FilterState read_filter() override;
  FilterState write_filter() override { return {}; }

  /// Makes the changes. What fails, or asks for a receipt, takes a place among the events: how many
  /// did. The negated errno of the first that finds no place; later ones are not made then.
  int change(std::span<const platform::KernelEvent> changes,
             std::span<platform::KernelEvent> events);

  /// What is active now, up to the room there is; how much.
  int collect(std::span<platform::KernelEvent> events);

 private:
  using Key = std::pair<std::uintptr_t, std::int64_t>;  // number and filter

  class Note final : public Watcher {
   public:
    Note(KqueueFile& queue, Key note_key, std::shared_ptr<File> watched);
    ~Note();
    Note(const Note&) = delete;
    Note& operator=(const Note&) = delete;

    void changed(const Change& change) override;
    void descriptor_closed(int fd) override;
    void file_closed() override { queue_.drop(key); }

    /// Asks the filter; whether it is active.
    bool ask();
    void trigger(std::uint32_t fflags);

   private:
    KqueueFile& queue_;
    std::shared_ptr<File> file_;  // none for EVFILT_USER

   public:
    Key key;
    platform::KernelEvent event{};
    std::uint32_t saved_fflags = 0;  // EVFILT_USER
    bool triggered = false;          // EVFILT_USER
    bool queued = false;
    bool disabled = false;
  };

  int make_change(const platform::KernelEvent& change);
  int add(Key key, const platform::KernelEvent& change);
  int modify(Note& note, const platform::KernelEvent& change);
  void drop(Key key);
  void enqueue(Note& note);
  void dequeue(Note& note);
  void report(Note& note, platform::KernelEvent& event);
  void closed() override;

  std::map<Key, std::unique_ptr<Note>> notes_;
  std::deque<Note*> active_;
};

}  // namespace pollard::sim
