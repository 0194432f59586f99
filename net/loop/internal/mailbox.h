// The part of a loop that other threads may hold on to: what they want done, and how they wake it.
// It outlives the loop for as long as anybody holds it, and says so when the loop is gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "pollard/base/light_mutex.h"
#include "pollard/base/owner_thread.h"
#include "pollard/base/task.h"
#include "pollard/platform/wake.h"

namespace pollard {

/// A call that is made once, and can then be posted without memory, again and again: for what must
/// not get lost. Posts of one that has not run yet are one.
class Notice {
 public:
  /// `call` runs in the thread of the loop that the notice is posted to. One loop only.
  explicit Notice(Task call) : call_(std::move(call)) {}
  Notice(const Notice&) = delete;
  Notice& operator=(const Notice&) = delete;

  /// The loop's thread.
  void operator()() const { call_(); }

 private:
  friend class Mailbox;
  const Task call_;
  std::shared_ptr<Notice> next_;  // these two belong to the mailbox, under its mutex
  bool posted_ = false;
};

/// Any thread, but for what is marked as the loop's.
class Mailbox {
 public:
  /// Throws std::system_error when the process is out of descriptors.
  Mailbox() = default;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// False, and `task` is left to the caller, when the loop is gone.
  bool post(Task&& task);

  /// As post(); adds `step` to `counter` when nothing can fail any more, and before the loop can
  /// take the task. When it throws or returns false, the counter is as it was.
  bool post_counted(Task&& task, std::atomic<std::uint64_t>& counter, std::uint64_t step);

  /// Posts what needs no memory for it. It runs behind what was posted before; never, when the loop
  /// is gone.
  void post(const std::shared_ptr<Notice>& notice) noexcept;

  /// Ends the present run of the loop, or the next one. Kept until a run has ended by it.
  void stop();

  /// Whether the loop is still there to take a post.
  [[nodiscard]] bool open() const { return open_.load(std::memory_order_acquire); }

  /// The thread that made the mailbox: the loop's.
  [[nodiscard]] const OwnerThread& thread() const { return thread_; }

  // The loop's part.

  /// What its poller is to watch.
  [[nodiscard]] platform::WakeDescriptor& wake_descriptor() { return wake_; }

  /// Declares that the loop goes to sleep: from now on a post wakes it, until awake(). False, and
  /// no sleep, when there is something to do already.
  [[nodiscard]] bool try_sleep() {
    asleep_.store(true, std::memory_order_seq_cst);
    if (!has_mail_.load(std::memory_order_seq_cst)) return true;
    awake();
    return false;
  }
  /// The loop's: from here on nobody has to ring.
  void awake() { asleep_.store(false, std::memory_order_relaxed); }

  /// Whether take() would find something.
  [[nodiscard]] bool has_mail() const { return has_mail_.load(std::memory_order_acquire); }

  /// Exchanges `tasks`, which is empty, for what was posted; true when a stop was among it, in
  /// which case everything posted before that stop is in `tasks`.
  [[nodiscard]] bool take(std::vector<Task>& tasks);

  /// Whether there was a notice when take() was called.
  [[nodiscard]] bool has_notices() const { return notices_taken_; }
  /// The next notice, in the order of the posts; null when there is none any more.
  [[nodiscard]] std::shared_ptr<Notice> take_notice();

  /// The loop ends: open() is false from now on. What is still posted is destroyed by close(), in
  /// the loop's thread.
  void begin_to_close() { open_.store(false, std::memory_order_release); }
  /// Refuses all further posts, and destroys what nobody will run.
  void close();

 private:
  [[gnu::noinline]] void make_room();
  void append(Task&& task);
  void note_mail();
  void wake_if_asleep();

  LightMutex mutex_;
  std::vector<Task> tasks_;
  std::shared_ptr<Notice> notices_;
  Notice* last_notice_ = nullptr;
  bool notices_taken_ = false;  // the loop's
  bool stop_ = false;
  bool closed_ = false;
  std::atomic<bool> open_{true};
  std::atomic<bool> has_mail_{false};
  std::atomic<bool> asleep_{false};
  const OwnerThread thread_;
  platform::WakeDescriptor wake_;
};

}  // namespace pollard
