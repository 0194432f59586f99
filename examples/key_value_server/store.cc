#include "key_value_server/store.h"

#include <algorithm>
#include <limits>

#include "key_value_server/resp.h"

namespace key_value {

// What is due is gone, whether or not the timer has been here.
Store::Entry* Store::find(std::string_view key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  Entry& entry = *found->second;
  if (entry.expires.has_value() && *entry.expires <= now_()) {
    erase(entry);
    return nullptr;
  }
  return &entry;
}

Store::Entry& Store::find_or_add(std::string_view key) {
  if (Entry* const there = find(key)) return *there;
  auto made = std::make_unique<Entry>(Entry{.key = std::string(key), .value = {}, .expires = {}});
  Entry& entry = *made;
  entries_.emplace(entry.key, std::move(made));
  return entry;
}

void Store::set_expiry(Entry& entry, std::optional<Time> at) {
  if (entry.expires.has_value()) expiring_.erase({*entry.expires, &entry});
  entry.expires = at;
  if (at.has_value()) expiring_.emplace(*at, &entry);
}

void Store::erase(Entry& entry) {
  set_expiry(entry, std::nullopt);
  entries_.erase(entries_.find(entry.key));
}

bool Store::set(std::string_view key, std::string_view value, std::optional<Duration> life,
                When when) {
  const std::lock_guard lock(mutex_);
  if (when != When::kAlways && (find(key) != nullptr) != (when == When::kIfPresent)) return false;
  Entry& entry = find_or_add(key);
  entry.value = value;
  const bool stays = !life.has_value() && !entry.expires.has_value();
  if (!stays) {
    set_expiry(entry, life.has_value() ? std::optional(pollard::saturating_add(now_(), *life))
                                       : std::nullopt);
  }
  return true;
}

void Store::set_all(std::span<const std::string_view> pairs) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    Entry& entry = find_or_add(pairs[i]);
    entry.value = pairs[i + 1];
    set_expiry(entry, std::nullopt);
  }
}

bool Store::remove(std::string_view key) {
  const std::lock_guard lock(mutex_);
  Entry* const entry = find(key);
  if (entry != nullptr) erase(*entry);
  return entry != nullptr;
}

bool Store::contains(std::string_view key) {
  const std::lock_guard lock(mutex_);
  return find(key) != nullptr;
}

Store::Failure Store::add(std::string_view key, std::int64_t addend, std::int64_t& sum) {
  using Limits = std::numeric_limits<std::int64_t>;
  const std::lock_guard lock(mutex_);
  const Entry* const there = find(key);
  const auto number = there == nullptr ? std::optional<std::int64_t>(0) : to_integer(there->value);
  if (!number.has_value()) return Failure::kNotANumber;
  const bool overflows =
      addend > 0 ? *number > Limits::max() - addend : *number < Limits::min() - addend;
  if (overflows) return Failure::kOverflow;
  sum = *number + addend;
  find_or_add(key).value = std::to_string(sum);
  return Failure::kNone;
}

Store::Failure Store::append(std::string_view key, std::string_view more, std::size_t limit,
                             std::size_t& size) {
  const std::lock_guard lock(mutex_);
  const Entry* const there = find(key);
  const std::size_t before = there == nullptr ? 0 : there->value.size();
  if (more.size() > limit - std::min(before, limit)) return Failure::kTooLong;
  std::string& value = find_or_add(key).value;
  value += more;
  size = value.size();
  return Failure::kNone;
}

bool Store::expire(std::string_view key, std::optional<Duration> life) {
  const std::lock_guard lock(mutex_);
  Entry* const entry = find(key);
  if (entry == nullptr) return false;
  if (!life.has_value()) {
    set_expiry(*entry, std::nullopt);
  } else if (*life <= Duration::zero()) {
    erase(*entry);
  } else {
    set_expiry(*entry, pollard::saturating_add(now_(), *life));
  }
  return true;
}

Store::Life Store::life(std::string_view key) {
  const std::lock_guard lock(mutex_);
  const Entry* const entry = find(key);
  if (entry == nullptr) return {};
  if (!entry->expires.has_value()) return {.exists = true};
  return {.exists = true, .left = *entry->expires - now_()};
}

std::size_t Store::size() {
  const std::lock_guard lock(mutex_);
  expire_due();
  return entries_.size();
}

void Store::visit_keys(const pollard::MoveFunction<bool(std::string_view)>& visit) {
  const std::lock_guard lock(mutex_);
  expire_due();
  for (const auto& [key, entry] : entries_) {
    if (!visit(key)) return;
  }
}

void Store::clear() {
  const std::lock_guard lock(mutex_);
  expiring_.clear();
  entries_.clear();
}

void Store::remove_expired() {
  const std::lock_guard lock(mutex_);
  expire_due();
}

void Store::expire_due() {
  if (expiring_.empty()) return;
  const Time now = now_();
  while (!expiring_.empty() && expiring_.begin()->first <= now) erase(*expiring_.begin()->second);
}

}  // namespace key_value
