// Keys and values in memory, some of which pass away by themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"

namespace key_value {

/// One lock for all of it: each operation is short, is done at once for
/// everybody (also one of many keys), and a thread that waits for the lock
/// waits less than a system call takes. Any thread.
class Store {
 public:
  using Time = pollard::MonotonicTime;
  using Duration = pollard::Duration;

  /// `now` is the clock by which keys expire.
  explicit Store(pollard::MoveFunction<Time()> now) : now_(std::move(now)) {}

  enum class When : std::uint8_t { kAlways, kIfAbsent, kIfPresent };

  /// Whether it was set. Without `life` the key stays.
  bool set(std::string_view key, std::string_view value, std::optional<Duration> life = {},
           When when = When::kAlways);
  /// Key, value, key, value, …
  void set_all(std::span<const std::string_view> pairs);

  /// Calls `take(std::optional<std::string_view>)`, under the lock.
  template <class Take>
  void get(std::string_view key, Take take) {
    const std::lock_guard lock(mutex_);
    take_value(key, take);
  }
  /// The same for several keys at the same moment, in their order.
  template <class Keys, class Take>
  void get_all(const Keys& keys, Take take) {
    const std::lock_guard lock(mutex_);
    for (const std::string_view key : keys) take_value(key, take);
  }

  bool remove(std::string_view key);
  [[nodiscard]] bool contains(std::string_view key);

  enum class Failure : std::uint8_t { kNone, kNotANumber, kOverflow, kTooLong };
  /// Adds to a number; a key that isn't there is zero.
  Failure add(std::string_view key, std::int64_t addend, std::int64_t& sum);
  /// Adds to the end; `size` becomes that of the whole, which may be `limit` at
  /// most.
  Failure append(std::string_view key, std::string_view more, std::size_t limit, std::size_t& size);

  /// Lets it pass away after `life` (at once, if that is not positive), or
  /// stay; whether it is there.
  bool expire(std::string_view key, std::optional<Duration> life);

  struct Life {
    bool exists = false;
    std::optional<Duration> left = {};  ///< nothing: for ever
  };
  [[nodiscard]] Life life(std::string_view key);

  [[nodiscard]] std::size_t size();
  /// Calls `visit` for each key, under the lock, until it returns false.
  void visit_keys(const pollard::MoveFunction<bool(std::string_view)>& visit);
  void clear();

  /// Frees what has expired; nobody gets to see it even before that.
  void remove_expired();

 private:
  struct Entry {
    std::string key;
    std::string value;
    std::optional<Time> expires;
  };

  template <class Take>
  void take_value(std::string_view key, Take& take) {
    const Entry* const entry = find(key);
    take(entry == nullptr ? std::nullopt : std::optional<std::string_view>(entry->value));
  }

  // Under the lock.
  Entry* find(std::string_view key);
  Entry& find_or_add(std::string_view key);
  void set_expiry(Entry& entry, std::optional<Time> at);
  void erase(Entry& entry);
  void expire_due();

  pollard::MoveFunction<Time()> now_;
  std::mutex mutex_;
  std::unordered_map<std::string_view, std::unique_ptr<Entry>> entries_;  // by their own key
  std::set<std::pair<Time, Entry*>> expiring_;
};

}  // namespace key_value
