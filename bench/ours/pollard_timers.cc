// The timers of our loop, by the time of its turn, as the others' are. (EventLoop::after reads the
// clock for each.)
#include <chrono>
#include <cstdint>
#include <vector>

#include "pollard/net/loop/event_loop.h"
#include "pollard/net/timers/timer.h"
#include "timers/timers.h"

namespace {

class Timers {
 public:
  explicit Timers(std::size_t count) : timers_(count) {}

  void set(std::size_t which, bench::Delay delay) {
    timers_[which] = loop_.at(loop_.now() + delay, [this] { ++happened_; });
  }
  void cancel(std::size_t which) { timers_[which].cancel(); }
  void put_off(std::size_t which, bench::Delay delay) {
    timers_[which].restart_at(loop_.now() + delay);
  }
  void run_due() { loop_.run_once(pollard::Duration::zero()); }
  void inside(const bench::Work& work) {
    loop_.post([&work] { work(); });
    run_due();
  }
  [[nodiscard]] std::uint64_t happened() const { return happened_; }

 private:
  pollard::EventLoop loop_;
  std::vector<pollard::Timer> timers_;
  std::uint64_t happened_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Timers>(argc, argv); }
