// SlotMap: things named by a number.
#include "pollard/base/slot_map.h"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/repeat.h"

namespace {

using Map = pollard::SlotMap<std::uint64_t>;

std::vector<pollard::SlotKey> fill(Map& map, std::int64_t count) {
  std::vector<pollard::SlotKey> keys;
  for (std::int64_t i = 0; i < count; ++i) {
    keys.push_back(map.insert(static_cast<std::uint64_t>(i)));
  }
  return keys;
}

void find(benchmark::State& state) {
  Map map;
  const std::vector<pollard::SlotKey> keys = fill(map, state.range(0));
  bench::Dice dice;
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.find(keys[dice.roll(static_cast<std::uint32_t>(keys.size()))]));
  }
}
BENCHMARK(find)->Name("slot_map_find")->Arg(100)->Arg(100'000);

void erase_and_insert(benchmark::State& state) {
  Map map;
  std::vector<pollard::SlotKey> keys = fill(map, state.range(0));
  bench::Dice dice;
  for (auto _ : state) {
    pollard::SlotKey& key = keys[dice.roll(static_cast<std::uint32_t>(keys.size()))];
    map.erase(key);
    key = map.insert(1);
  }
}
BENCHMARK(erase_and_insert)->Name("slot_map_erase_and_insert")->Arg(100)->Arg(100'000);

}  // namespace
