#include "pollard/net/tcp/internal/admissions.h"

namespace pollard {

Admissions::Ticket Admissions::try_admit() {
  std::size_t before = count_.load();
  while (before < maximum_) {
    if (count_.compare_exchange_weak(before, before + 1)) return Ticket(this);
  }
  return {};
}

void Admissions::leave(Load* load) noexcept {
  if (load != nullptr) load->fetch_sub(1, std::memory_order_relaxed);
  const std::size_t before = count_.fetch_sub(1);
  if (before == maximum_) call(on_room_);
  // Either this sees the flag or begin_draining() sees the number: both write before they read.
  if (before == 1 && draining_.load()) call(on_empty_);
}

void Admissions::begin_draining() {
  draining_.store(true);
  if (count_.load() == 0) call(on_empty_);
}

void Admissions::call(const Task& task) noexcept {
  if (task) task();
}

}  // namespace pollard
