// The registry of pollers: what choosing one costs, and making one.
#include "pollard/poller/registry.h"

#include <benchmark/benchmark.h>

namespace {

void choose_by_name(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(pollard::resolve("poll"));
}
BENCHMARK(choose_by_name)->Name("registry_choose_by_name");

void choose_the_best(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(pollard::resolve({}));
}
BENCHMARK(choose_the_best)->Name("registry_choose_the_best");

void make(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(pollard::make_poller("poll"));
}
BENCHMARK(make)->Name("registry_make_a_poller");

}  // namespace
