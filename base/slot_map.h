// Things named by a number instead of a pointer. A key holds an index and the generation of the
// slot at that index: a key whose thing is gone finds nothing, even after the slot was given to
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"

namespace pollard {

/// Index in the low half, generation in the high half; zero names nothing, ever.
enum class SlotKey : std::uint64_t { kNone = 0 };

/// All operations are O(1); insert may move the values, so a pointer lasts until the next insert.
/// A slot's generation is 32 bits wide: a key is mistaken only after 2^31 reuses of the same slot.
/// One thread.
template <class Value>
class SlotMap {
 public:
  /// Gives the value a key. Throws std::bad_alloc.
  [[nodiscard]] SlotKey insert(Value value) {
    if (free_ == kEnd) grow();
    const std::uint32_t index = free_;
    Slot& slot = slots_[index];
    free_ = slot.next_free;
    ++slot.generation;  // even to odd: occupied
    slot.value = std::move(value);
    ++size_;
    return make_key(index, slot.generation);
  }

  /// The value, or null when `key` names nothing any more.
  [[nodiscard]] Value* find(SlotKey key) {
    const std::uint32_t index = index_of(key);
    const std::uint32_t generation = generation_of(key);
    if (generation % 2 == 0) return nullptr;  // that of a free slot, such as zero
    if (index >= slots_.size() || slots_[index].generation != generation) return nullptr;
    return &slots_[index].value;
  }

  /// Forgets what `key` names; false when it named nothing.
  bool erase(SlotKey key) {
    Value* value = find(key);
    if (value == nullptr) return false;
    // Destroyed last, for its destructor may call us again.
    [[maybe_unused]] const Value ended = std::exchange(*value, Value{});
    Slot& slot = slots_[index_of(key)];
    ++slot.generation;  // odd to even: free
    slot.next_free = std::exchange(free_, index_of(key));
    --size_;
    return true;
  }

  /// How many values there are.
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Calls `visit(key, value)` for each value; it may erase, but not insert.
  template <class Visitor>
  void for_each(Visitor visit) {
    for (std::uint32_t index = 0; index < slots_.size(); ++index) {
      Slot& slot = slots_[index];
      if (slot.generation % 2 == 1) visit(make_key(index, slot.generation), slot.value);
    }
  }

 private:
  static constexpr std::uint32_t kEnd = UINT32_MAX;

  struct Slot {
    std::uint32_t generation = 0;  // odd while occupied, so that a zero key is never valid
    std::uint32_t next_free = kEnd;
    Value value{};
  };

  static SlotKey make_key(std::uint32_t index, std::uint32_t generation) {
    return static_cast<SlotKey>((static_cast<std::uint64_t>(generation) << 32U) | index);
  }
  static std::uint32_t index_of(SlotKey key) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(key));
  }
  static std::uint32_t generation_of(SlotKey key) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(key) >> 32U);
  }

  void grow() {
    POLLARD_ASSERT(slots_.size() < kEnd, "a slot map holds fewer than 2^32 values");
    slots_.emplace_back();
    free_ = static_cast<std::uint32_t>(slots_.size() - 1);
  }

  std::vector<Slot> slots_;
  std::uint32_t free_ = kEnd;
  std::size_t size_ = 0;
};

}  // namespace pollard
