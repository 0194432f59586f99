// Buffer: what a message handler reads from, and fills.
#include "pollard/net/bytes/buffer.h"

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace {

// A message is handed to a handler where it was received, and taken whole.
void borrow_and_consume(benchmark::State& state) {
  const std::array<std::byte, 65536> received{};
  const std::span<const std::byte> message =
      std::span(received).first(static_cast<std::size_t>(state.range(0)));
  pollard::Buffer buffer;
  for (auto _ : state) {
    buffer.borrow(message);
    benchmark::DoNotOptimize(buffer.view());
    buffer.consume(message.size());
  }
}
BENCHMARK(borrow_and_consume)->Arg(16)->Arg(65536);

// Half a message is left for later, and the other half comes.
void keep_a_rest(benchmark::State& state) {
  const std::string half(static_cast<std::size_t>(state.range(0)) / 2, 'x');
  for (auto _ : state) {
    pollard::Buffer buffer;
    buffer.borrow(std::as_bytes(std::span(half)));
    buffer.own();
    buffer.append(half);
    benchmark::DoNotOptimize(buffer.view());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(keep_a_rest)->Arg(64)->Arg(65536);

void append_in_small_pieces(benchmark::State& state) {
  constexpr std::string_view kPiece = "sixteen bytes...";
  for (auto _ : state) {
    pollard::Buffer buffer;
    for (int i = 0; i < 256; ++i) buffer.append(kPiece);
    benchmark::DoNotOptimize(buffer.view());
  }
  state.SetItemsProcessed(state.iterations() * 256);
}
BENCHMARK(append_in_small_pieces);

void find_the_end_of_a_line(benchmark::State& state) {
  const pollard::Buffer buffer(std::string(static_cast<std::size_t>(state.range(0)), 'x') + "\r\n");
  for (auto _ : state) benchmark::DoNotOptimize(buffer.find("\r\n"));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(find_the_end_of_a_line)->Arg(80)->Arg(65536);

}  // namespace
