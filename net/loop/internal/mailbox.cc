#include "pollard/net/loop/internal/mailbox.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace pollard {

bool Mailbox::post(Task&& task) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    if (tasks_.size() == tasks_.capacity()) make_room();
    append(std::move(task));
    note_mail();
  }
  wake_if_asleep();
  return true;
}

bool Mailbox::post_counted(Task&& task, std::atomic<std::uint64_t>& counter, std::uint64_t step) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    if (tasks_.size() == tasks_.capacity()) make_room();
    counter.fetch_add(step);
    append(std::move(task));
    note_mail();
  }
  wake_if_asleep();
  return true;
}

void Mailbox::post(const std::shared_ptr<Notice>& notice) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || notice->posted_) return;
    notice->posted_ = true;
    (notices_ == nullptr ? notices_ : last_notice_->next_) = notice;
    last_notice_ = notice.get();
    note_mail();
  }
  wake_if_asleep();
}

// Out of line, and said to the compiler: then a post needs few registers, which it would have to
// save.
void Mailbox::make_room() { tasks_.reserve(std::max<std::size_t>(16, 2 * tasks_.capacity())); }
inline void Mailbox::append(Task&& task) {
  if (tasks_.size() == tasks_.capacity()) __builtin_unreachable();
  tasks_.push_back(std::move(task));
}

void Mailbox::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    note_mail();
  }
  wake_if_asleep();
}

// One of many posts stores it; the others know by the mutex that it is stored.
inline void Mailbox::note_mail() {
  if (!has_mail_.load(std::memory_order_relaxed)) has_mail_.store(true, std::memory_order_seq_cst);
}

// Either the sleeper sees the mail or we see the sleeper: both sides write before they read, and
// sequential consistency forbids that both miss. The exchange makes one of many posts pay the call.
inline void Mailbox::wake_if_asleep() {
  if (!asleep_.load(std::memory_order_seq_cst)) return;
  if (asleep_.exchange(false, std::memory_order_seq_cst)) wake_.wake();
}

bool Mailbox::take(std::vector<Task>& tasks) {
  const std::lock_guard lock(mutex_);
  std::swap(tasks, tasks_);
  notices_taken_ = notices_ != nullptr;
  has_mail_.store(false, std::memory_order_relaxed);
  return std::exchange(stop_, false);
}

std::shared_ptr<Notice> Mailbox::take_notice() {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Notice> first = std::move(notices_);
  if (first == nullptr) {
    notices_taken_ = false;
    return nullptr;
  }
  notices_ = std::move(first->next_);
  first->posted_ = false;
  return first;
}

void Mailbox::close() {
  std::vector<Task> unwanted;  // destroyed after the lock is gone: a destructor may post again
  std::shared_ptr<Notice> unheard;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  std::swap(unwanted, tasks_);
  std::swap(unheard, notices_);
}

}  // namespace pollard
