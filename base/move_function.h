// A callable that owns what it captures and is never copied: what std::move_only_function is in
// C++23. Three pointers of captures live inside it; more are allocated once, when it is made.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "pollard/base/assert.h"

namespace pollard {

template <class Signature>
class MoveFunction;

/// Calling is const, as with std::function: constness of the wrapper says nothing of the callable.
template <class Result, class... Arguments>
class MoveFunction<Result(Arguments...)> {
 public:
  MoveFunction() = default;
  /// An empty one.
  MoveFunction(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): `handler = nullptr`

  /// Takes the callable over. Empty, when that is an empty std::function or a null pointer. Throws
  /// what moving it throws, and std::bad_alloc for captures that don't fit.
  template <class Callable>
  requires(!std::is_same_v<std::remove_cvref_t<Callable>, MoveFunction> &&
           std::is_invocable_r_v<Result, std::decay_t<Callable>&, Arguments...>)
      // NOLINTNEXTLINE(google-explicit-constructor): takes any lambda
      MoveFunction(Callable&& callable)
  noexcept(kTakesWithoutFail<Callable>) {
    using Stored = std::decay_t<Callable>;
    if constexpr (!std::is_function_v<std::remove_reference_t<Callable>> &&
                  requires { callable == nullptr; }) {
      if (callable == nullptr) return;
    }
    if constexpr (kFitsInside<Stored>) {
      // A move copies all of the bytes, and those behind a small callable are bytes too.
      if constexpr (std::is_trivially_copyable_v<Stored>) std::memset(storage_, 0, kInsideBytes);
      ::new (static_cast<void*>(storage_)) Stored(std::forward<Callable>(callable));
      operations_ = &kInside<Stored>;
    } else {
      std::memset(storage_, 0, kInsideBytes);
      ::new (static_cast<void*>(storage_)) Stored*(new Stored(std::forward<Callable>(callable)));
      operations_ = &kOnHeap<Stored>;
    }
  }

  /// The same for an empty one, in place, where it can't throw.
  template <class Callable>
  void emplace(Callable&& callable) noexcept {
    static_assert(std::is_nothrow_constructible_v<MoveFunction, Callable>);
    POLLARD_ASSERT(operations_ == nullptr, "a MoveFunction that holds something is assigned to");
    std::construct_at(this, std::forward<Callable>(callable));
  }

  /// Takes the callable over; `other` is empty then.
  MoveFunction(MoveFunction&& other) noexcept { take(other); }
  /// Likewise. What was there is destroyed last, for its destructor may look at this one again, and
  /// `other` may be part of it.
  MoveFunction& operator=(MoveFunction&& other) noexcept {
    if (operations_ == nullptr) {
      take(other);
    } else if (this != &other) {
      replace(other);
    }
    return *this;
  }
  /// What it held is destroyed when it is empty already.
  MoveFunction& operator=(std::nullptr_t) noexcept {
    clear();
    return *this;
  }
  MoveFunction(const MoveFunction&) = delete;
  MoveFunction& operator=(const MoveFunction&) = delete;
  ~MoveFunction() { clear(); }

  /// Whether there is something to call.
  explicit operator bool() const { return operations_ != nullptr; }

  /// Calls it, throwing what it throws. Asserts that there is something.
  Result operator()(Arguments... arguments) const {
    POLLARD_ASSERT(operations_ != nullptr, "an empty MoveFunction was called");
    return operations_->call(storage_, std::forward<Arguments>(arguments)...);
  }

 private:
  static constexpr std::size_t kInsideBytes = 3 * sizeof(void*);

  struct Operations {
    Result (*call)(std::byte* storage, Arguments&&... arguments);
    void (*move)(std::byte* to, std::byte* from) noexcept;  // null: the bytes may be copied
    void (*destroy)(std::byte* storage) noexcept;           // null: there is nothing to destroy
  };

  template <class Stored>
  static constexpr bool kFitsInside =
      sizeof(Stored) <= kInsideBytes &&
      alignof(Stored) <= alignof(void*) && std::is_nothrow_move_constructible_v<Stored>;

  template <class Callable>
  static constexpr bool kTakesWithoutFail = kFitsInside<std::decay_t<Callable>>&&
      std::is_nothrow_constructible_v<std::decay_t<Callable>, Callable>;

  template <class Stored>
  static Stored& inside(std::byte* storage) {
    return *std::launder(static_cast<Stored*>(static_cast<void*>(storage)));
  }

  // A callable that returns something may stand where nothing is wanted.
  template <class Callable>
  static Result invoke(Callable& callable, Arguments&&... arguments) {
    if constexpr (std::is_void_v<Result>) {
      std::invoke(callable, std::forward<Arguments>(arguments)...);
    } else {
      return std::invoke(callable, std::forward<Arguments>(arguments)...);
    }
  }

  template <class Stored>
  static constexpr Operations kInside = {
      [](std::byte* storage, Arguments&&... arguments) -> Result {
        return invoke(inside<Stored>(storage), std::forward<Arguments>(arguments)...);
      },
      std::is_trivially_copyable_v<Stored>
          ? nullptr
          : +[](std::byte* to, std::byte* from) noexcept {
              ::new (static_cast<void*>(to)) Stored(std::move(inside<Stored>(from)));
              inside<Stored>(from).~Stored();
            },
      std::is_trivially_destructible_v<Stored>
          ? nullptr
          : +[](std::byte* storage) noexcept { inside<Stored>(storage).~Stored(); }};

  template <class Stored>
  static constexpr Operations kOnHeap = {
      [](std::byte* storage, Arguments&&... arguments) -> Result {
        return invoke(*inside<Stored*>(storage), std::forward<Arguments>(arguments)...);
      },
      nullptr, [](std::byte* storage) noexcept { delete inside<Stored*>(storage); }};

  void take(MoveFunction& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ == nullptr) return;
    if (operations_->move == nullptr) {
      std::memcpy(storage_, other.storage_, kInsideBytes);
    } else {
      operations_->move(storage_, other.storage_);
    }
  }

  // Not in place at every assignment, most of which are to an empty one.
  [[gnu::noinline]] void replace(MoveFunction& other) noexcept {
    const MoveFunction ended = std::move(*this);
    take(other);
  }

  void clear() noexcept {
    const Operations* operations = std::exchange(operations_, nullptr);
    if (operations != nullptr && operations->destroy != nullptr) operations->destroy(storage_);
  }

  alignas(void*) mutable std::byte storage_[kInsideBytes];
  const Operations* operations_ = nullptr;
};

}  // namespace pollard
