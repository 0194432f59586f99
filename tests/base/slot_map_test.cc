#include "pollard/base/slot_map.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pollard/base/random.h"

namespace pollard::testing {
namespace {

BOOST_AUTO_TEST_SUITE(slot_map)

BOOST_AUTO_TEST_CASE(an_empty_map_finds_nothing) {
  SlotMap<int> map;
  BOOST_TEST(map.size() == 0U);
  BOOST_TEST(map.find(SlotKey::kNone) == nullptr);
  BOOST_TEST(!map.erase(SlotKey::kNone));
}

BOOST_AUTO_TEST_CASE(a_key_finds_its_value_until_it_is_erased) {
  SlotMap<std::string> map;
  const SlotKey key = map.insert("value");
  BOOST_TEST((key != SlotKey::kNone));
  BOOST_TEST_REQUIRE(map.find(key) != nullptr);
  BOOST_TEST(*map.find(key) == "value");
  BOOST_TEST(map.erase(key));
  BOOST_TEST(map.find(key) == nullptr);
  BOOST_TEST(!map.erase(key));
  BOOST_TEST(map.size() == 0U);
}

BOOST_AUTO_TEST_CASE(a_stale_key_does_not_find_the_next_owner_of_its_slot) {
  SlotMap<int> map;
  std::vector<SlotKey> stale;
  for (int i = 0; i < 1000; ++i) {
    const SlotKey key = map.insert(i);
    const auto found = [&map](SlotKey old) { return map.find(old) != nullptr; };
    BOOST_REQUIRE(std::ranges::none_of(stale, found));
    map.erase(key);
    stale.push_back(key);
  }
}

BOOST_AUTO_TEST_CASE(a_key_that_was_never_given_finds_nothing) {
  SlotMap<int> map;
  map.erase(map.insert(1));
  const SlotKey living = map.insert(2);
  map.erase(map.insert(3));
  for (std::uint64_t index = 0; index < 4; ++index) {
    for (std::uint64_t generation = 0; generation < 8; ++generation) {
      const auto key = static_cast<SlotKey>((generation << 32U) | index);
      if (key != living) BOOST_TEST(map.find(key) == nullptr, generation << ' ' << index);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_value_may_use_the_map_while_it_is_destroyed) {
  struct Guard {
    std::unique_ptr<int, std::function<void(int*)>> guard;
  };
  SlotMap<Guard> map;
  SlotKey first = SlotKey::kNone;
  SlotKey second = SlotKey::kNone;
  bool found_itself = true;
  second = map.insert({});
  Guard guard;
  guard.guard = {new int(0), [&](int* number) {
                   found_itself = map.find(first) != nullptr;
                   map.erase(second);
                   static_cast<void>(map.insert({}));
                   delete number;
                 }};
  first = map.insert(std::move(guard));
  BOOST_TEST(map.erase(first));
  BOOST_TEST(!found_itself);
  BOOST_TEST(map.size() == 1U);
}

BOOST_AUTO_TEST_CASE(for_each_visits_the_living_and_may_erase) {
  SlotMap<int> map;
  std::vector<SlotKey> keys;
  for (int i = 0; i < 10; ++i) keys.push_back(map.insert(i));
  map.erase(keys[3]);
  int sum = 0;
  map.for_each([&](SlotKey key, int value) {
    sum += value;
    if (value % 2 == 0) map.erase(key);
  });
  BOOST_TEST(sum == 45 - 3);
  BOOST_TEST(map.size() == 4U);
}

// A map from keys to values beside it, and random operations on both.
BOOST_AUTO_TEST_CASE(it_does_what_a_map_does) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      SplitMix64 random(seed);
      SlotMap<std::uint64_t> map;
      std::map<SlotKey, std::uint64_t> model;
      std::vector<SlotKey> given;
      for (int step = 0; step < 3000; ++step) {
        if (given.empty() || random.up_to(99) < 45) {
          const std::uint64_t value = random.next();
          const SlotKey key = map.insert(value);
          BOOST_REQUIRE(model.emplace(key, value).second);
          given.push_back(key);
        } else {
          const SlotKey key = given[random.up_to(given.size() - 1)];
          BOOST_REQUIRE(map.erase(key) == (model.erase(key) == 1));
        }
        BOOST_REQUIRE(map.size() == model.size());
        const SlotKey asked = given[random.up_to(given.size() - 1)];
        const auto known = model.find(asked);
        const std::uint64_t* found = map.find(asked);
        BOOST_REQUIRE((found != nullptr) == (known != model.end()));
        if (found != nullptr) BOOST_REQUIRE(*found == known->second);
      }
      std::map<SlotKey, std::uint64_t> visited;
      map.for_each([&](SlotKey key, std::uint64_t value) { visited.emplace(key, value); });
      BOOST_TEST((visited == model));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::testing
