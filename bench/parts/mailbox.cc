// Mailbox: what other threads post to a loop, without the loop.
#include "pollard/net/loop/internal/mailbox.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

namespace {

// A batch is posted while the loop is awake, taken at once, and run.
void post_and_take(benchmark::State& state) {
  pollard::Mailbox mailbox;
  std::vector<pollard::Task> tasks;
  std::uint64_t ran = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) mailbox.post([&ran] { ++ran; });
    benchmark::DoNotOptimize(mailbox.take(tasks));
    for (const pollard::Task& task : tasks) task();
    tasks.clear();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(ran));
}
BENCHMARK(post_and_take)->Name("mailbox_post_and_take")->Arg(1)->Arg(1000);

}  // namespace
