// Asio's timers.
#include <asio.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "timers/timers.h"

namespace {

class Timers {
 public:
  explicit Timers(std::size_t count) {
    timers_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) timers_.emplace_back(context_);
  }

  void set(std::size_t which, bench::Delay delay) { put_off(which, delay); }
  void cancel(std::size_t which) {
    timers_[which].cancel();
    drain_cancelled();
  }
  // A new deadline cancels the wait for the old one.
  void put_off(std::size_t which, bench::Delay delay) {
    timers_[which].expires_after(delay);
    timers_[which].async_wait([this](const asio::error_code& error) {
      if (!error) ++happened_;
    });
    drain_cancelled();
  }
  void run_due() { run(); }
  // It reads the clock in either case.
  static void inside(const bench::Work& work) { work(); }
  [[nodiscard]] std::uint64_t happened() const { return happened_; }

 private:
  // What is cancelled waits for the loop to tell so; a loop that runs does it at some time.
  void drain_cancelled() {
    if (++changes_ % kChangesOfATurn == 0) run();
  }
  void run() {
    context_.restart();
    context_.poll();
  }

  static constexpr std::uint64_t kChangesOfATurn = 1000;
  asio::io_context context_{1};
  std::vector<asio::steady_timer> timers_;
  std::uint64_t changes_ = 0;
  std::uint64_t happened_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Timers>(argc, argv); }
