// How many connections one run of a server has, and who has to hear of it when there are fewer.
//
// A connection is counted in before it exists, while it waits in the mailbox of another loop, and
// it may end there: because a handler has stopped that loop, or memory is short. A Ticket counts it
// out in each of these cases, exactly once. When the connection exists, the ticket is used up, and
// the end of the connection counts it out.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

#include "pollard/base/move_function.h"
#include "pollard/net/loop/internal/mailbox.h"

namespace pollard {

/// Counts the connections of one run of a server. All operations: any thread, unless they say
/// otherwise.
class Admissions {
 public:
  /// The connections of one loop: those that are open, and those that wait in its mailbox.
  using Load = std::atomic<std::size_t>;

  /// `on_room` is called when the number falls below `maximum`, `on_empty` when it becomes zero
  /// after begin_draining(). Both are called in the thread in which that happens, must not throw,
  /// and should only post a Notice; either may be empty.
  Admissions(std::size_t maximum, Task on_room, Task on_empty)
      : maximum_(maximum), on_room_(std::move(on_room)), on_empty_(std::move(on_empty)) {}
  Admissions(const Admissions&) = delete;
  Admissions& operator=(const Admissions&) = delete;

  /// One connection that is counted in, and is counted out when the ticket ends.
  class Ticket {
   public:
    /// An empty ticket.
    Ticket() = default;
    /// Leaves `other` empty.
    Ticket(Ticket&& other) noexcept
        : admissions_(std::exchange(other.admissions_, nullptr)), load_(other.load_) {}
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() {
      if (admissions_ != nullptr) admissions_->leave(load_);
    }

    /// Whether it stands for a connection.
    explicit operator bool() const { return admissions_ != nullptr; }
    /// Counts it in for one loop, too. At most once.
    void count_in(Load& load) {
      load.fetch_add(1, std::memory_order_relaxed);
      load_ = &load;
    }
    /// Empties the ticket: from now on the end of the connection calls leave().
    void use_up() { admissions_ = nullptr; }

   private:
    friend class Admissions;
    explicit Ticket(Admissions* admissions) : admissions_(admissions) {}

    Admissions* admissions_ = nullptr;
    Load* load_ = nullptr;
  };

  /// Counts one in. Returns an empty ticket when there are `maximum` already. The ticket must not
  /// outlive this object.
  [[nodiscard]] Ticket try_admit();

  /// Counts one out, of one loop too unless `load` is null.
  void leave(Load* load) noexcept;

  /// From now on the end of the last one calls on_empty; at once when there is none.
  void begin_draining();

  /// How many are counted in.
  [[nodiscard]] std::size_t count() const { return count_.load(std::memory_order_relaxed); }
  /// Whether the next one would be refused.
  [[nodiscard]] bool full() const { return count_.load() >= maximum_; }

 private:
  void call(const Task& task) noexcept;

  const std::size_t maximum_;
  const Task on_room_;
  const Task on_empty_;
  std::atomic<std::size_t> count_{0};
  std::atomic<bool> draining_{false};
};

}  // namespace pollard
