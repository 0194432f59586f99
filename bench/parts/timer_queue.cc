// TimerQueue: the timers of a loop, without the loop.
#include "pollard/net/timers/internal/timer_queue.h"

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/repeat.h"

namespace {

using namespace std::chrono_literals;
using pollard::Duration;
using pollard::MonotonicTime;

MonotonicTime some_time(bench::Dice& dice) {
  return MonotonicTime{} + 1h + std::chrono::microseconds(dice.roll(1'000'000));
}

void cancel_and_add(benchmark::State& state) {
  pollard::TimerQueue queue;
  bench::Dice dice;
  std::vector<pollard::Timer> timers(static_cast<std::size_t>(state.range(0)));
  for (auto& timer : timers) timer = queue.add(some_time(dice), Duration::zero(), [] {});
  for (auto _ : state) {
    timers[dice.roll(static_cast<std::uint32_t>(timers.size()))] =
        queue.add(some_time(dice), Duration::zero(), [] {});
  }
}
BENCHMARK(cancel_and_add)->Name("timer_queue_cancel_and_add")->Arg(100)->Arg(100'000);

void add_and_run(benchmark::State& state) {
  pollard::TimerQueue queue;
  bench::Dice dice;
  std::uint64_t ran = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      queue.add(some_time(dice), Duration::zero(), [&ran] { ++ran; }).detach();
    }
    queue.run_due(MonotonicTime{} + 2h);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(ran));
}
BENCHMARK(add_and_run)->Name("timer_queue_add_and_run")->Arg(100)->Arg(100'000);

void put_off(benchmark::State& state) {
  pollard::TimerQueue queue;
  bench::Dice dice;
  std::vector<pollard::Timer> timers(static_cast<std::size_t>(state.range(0)));
  for (auto& timer : timers) timer = queue.add(some_time(dice), Duration::zero(), [] {});
  for (auto _ : state) {
    timers[dice.roll(static_cast<std::uint32_t>(timers.size()))].restart_at(MonotonicTime{} + 2h);
  }
}
BENCHMARK(put_off)->Name("timer_queue_put_off")->Arg(100'000);

}  // namespace
