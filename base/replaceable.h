// A value that any thread may replace while it is in use, and no lock on either side.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace pollard {

/// Used by one thread at a time. What was put in is taken over by the user when it next looks, so
/// the old value lasts for as long as it is used; what is replaced before anybody looked is
/// destroyed by who replaces it.
template <class Value>
class Replaceable {
 public:
  Replaceable() = default;
  ~Replaceable() { replace_by(nullptr); }
  Replaceable(const Replaceable&) = delete;
  Replaceable& operator=(const Replaceable&) = delete;

  /// Any thread.
  void replace(Value value) { replace_by(std::make_unique<Value>(std::move(value))); }

  /// The user: the last value that was put in, until it looks again; null when there was none.
  [[nodiscard]] const Value* look() {
    if (next_.load(std::memory_order_relaxed) != nullptr) {
      current_.reset(next_.exchange(nullptr, std::memory_order_acq_rel));
    }
    return current_.get();
  }

 private:
  void replace_by(std::unique_ptr<Value> value) {
    const std::unique_ptr<Value> unused(next_.exchange(value.release(), std::memory_order_acq_rel));
  }

  std::atomic<Value*> next_{nullptr};
  std::unique_ptr<Value> current_;
};

}  // namespace pollard
