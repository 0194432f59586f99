#include "pollard/tests/chaos/run.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "pollard/platform/time.h"
#include "pollard/testkit/sim/faults.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/chaos/actors.h"

namespace pollard::chaos {

using namespace std::chrono_literals;

namespace {

// Whoever isn't done by then hangs. Virtual minutes cost nothing.
constexpr Duration kLongestRun = 120s;
constexpr std::uint64_t kMostTurns = 200'000;
// Waits in a row in which nothing happened. A sender whose peer reads slowly has some, one for each
// piece of room.
constexpr std::uint64_t kMostIdling = 150;
// From a post while the loop sleeps to its run: what a wake-up takes, and the turn it begins.
constexpr Duration kLongestWakeUp = 2ms;
// A loop whose wait failed for want of memory pauses for 64 ms at most, and for two ticks of 10 ms
// where the system has no finer ones. A post does not end that.
constexpr Duration kLongestPause = 64ms + 20ms + kLongestWakeUp;

// The system whose kernel is simulated: one that has the poller.
sim::Profile choose_profile(const std::string& poller, SplitMix64& dice) {
  std::vector<std::string_view> candidates;
  for (const std::string_view name : sim::profile_names()) {
    const sim::Profile profile = *sim::profile_named(name);
    const bool lacks =
        (poller == "epoll" && !profile.has_epoll) || (poller == "kqueue" && !profile.has_kqueue);
    if (!lacks) candidates.push_back(name);
  }
  return *sim::profile_named(candidates[dice.up_to(candidates.size() - 1)]);
}

sim::KernelOptions kernel_options(const RunOptions& run, const Plan& plan) {
  sim::KernelOptions options;
  options.seed = run.seed;
  // By dice of its own, so that a plan is the same whatever is added here.
  SplitMix64 dice(run.seed ^ 0x70726f66696c65ULL);
  options.profile = choose_profile(run.poller, dice);
  if (dice.up_to(2) == 0) {
    options.latency_jitter = std::chrono::microseconds(static_cast<int>(dice.up_to(5000)));
  }
  if (dice.up_to(3) == 0) options.delayed_ack = std::chrono::milliseconds(40);
  options.latency = plan.latency;
  options.send_buffer = options.receive_buffer = plan.kernel_buffer;
  return options;
}

sim::FaultOptions fault_options(const RunOptions& options) {
  sim::FaultOptions faults;
  faults.seed = options.seed;
  faults.trace_lines = options.trace_lines;
  return faults;
}

// The order of two timers of one run: by deadline, and then as they were set.
class TimerCheck {
 public:
  explicit TimerCheck(Run& run) : run_(run) {}

  void set(unsigned count) {
    for (unsigned i = 0; i < count; ++i) set_one();
  }
  void clear() { timers_.clear(); }

 private:
  void set_one() {
    const std::size_t number = timers_.size();
    const Duration delay = std::chrono::microseconds(run_.dice.up_to(20'000));
    const MonotonicTime deadline = platform::monotonic_now() + delay;
    timers_.push_back(
        run_.loop.at(deadline, [this, number, deadline] { fired(number, deadline); }));
    if (run_.dice.one_in(4)) timers_[run_.dice.up_to(number)].cancel();
  }

  void fired(std::size_t number, MonotonicTime deadline) {
    Ledger& ledger = run_.ledger;
    ledger.note("timer " + std::to_string(number));
    ledger.require(platform::monotonic_now() >= deadline, "a timer is early");
    ledger.require(last_deadline_ != deadline || number > last_number_,
                   "timers of one deadline out of order");
    last_deadline_ = deadline;
    last_number_ = number;
    if (run_.dice.one_in(3)) set_one();
  }

  Run& run_;
  std::vector<Timer> timers_;
  std::optional<MonotonicTime> last_deadline_;
  std::size_t last_number_ = 0;
};

class World {
 public:
  World(const RunOptions& options, const Plan& plan, Dice& dice, sim::Faults& faults)
      : options_(options),
        plan_(plan),
        faults_(faults),
        ledger_(plan.calm, [&faults](std::string_view line) { faults.note(line); }),
        loop_({.poller = options.poller,
               .on_exception = [this](std::exception_ptr exception) { caught(exception); }}),
        run_{loop_, plan, dice, ledger_} {}

  void play();
  void report(Outcome& outcome) const;

 private:
  void begin();
  void serve();
  void turn();
  void clear();
  void check_end();
  void check_timers();
  void caught(const std::exception_ptr& exception);
  void call(const Address& target, Caller::Target kind);
  void act_while_asleep();
  void post_from_afar(Duration longest);
  [[nodiscard]] std::uint64_t befallen(std::string_view fault) const;
  [[nodiscard]] bool all_done() const;
  [[nodiscard]] std::string who_hangs() const;
  template <class Visitor>
  void for_each_end(Visitor visit) const;

  const RunOptions& options_;
  const Plan& plan_;
  sim::Faults& faults_;
  Ledger ledger_;
  EventLoop loop_;
  Run run_;
  Meetings meetings_;
  TimerCheck timers_{run_};
  std::optional<EchoServer> server_;
  std::optional<Acceptor> sink_;      // accepts and closes
  std::optional<TcpServer> refuser_;  // bound, and doesn't listen
  std::vector<std::unique_ptr<Talker>> talkers_;
  std::vector<std::unique_ptr<Caller>> callers_;
  Timer restart_;
  std::vector<std::string> loop_descriptors_;
  std::uint64_t posted_ = 0;
  std::uint64_t tasks_run_ = 0;
  std::uint64_t failed_waits_ = 0;  // when the loop slept last
  std::uint64_t connections_ = 0;
  std::uint64_t bytes_ = 0;
  bool over_ = false;
};

template <class Visitor>
void World::for_each_end(Visitor visit) const {
  if (server_.has_value()) {
    for (const auto& end : server_->ends()) visit(*end);
  }
  for (const auto& talker : talkers_) {
    for (const auto& end : talker->ends()) visit(*end);
  }
}

void World::call(const Address& target, Caller::Target kind) {
  const std::string name = "connector " + std::to_string(callers_.size() + 1);
  callers_.push_back(std::make_unique<Caller>(run_, name, target, kind));
  callers_.back()->begin();
}

void World::begin() {
  const Address any_port = plan_.ipv6 ? Address::loopback_ipv6(0) : Address::loopback(0);
  server_.emplace(run_, meetings_, any_port);
  server_->start();
  sink_.emplace(loop_, Address::loopback(0), ListenOptions{},
                [](platform::Descriptor, const Address&) {});
  sink_->listen();
  refuser_.emplace(loop_, Address::loopback(0), ConnectionHandlers{});
  faults_.set_chances(plan_.faults);
  if (plan_.afar > 0) faults_.set_on_sleep([this] { act_while_asleep(); });
  for (unsigned i = 0; i < plan_.clients; ++i) {
    talkers_.push_back(std::make_unique<Talker>(run_, meetings_, server_->address(), i + 1));
    talkers_.back()->begin();
  }
  for (unsigned i = 0; i < plan_.connectors; ++i) {
    if (sim::Kernel* const kernel = sim::Kernel::current(); kernel != nullptr && i == 0) {
      const Address nobody = Address::parse("192.0.2.1:7");
      kernel->silence(nobody.endpoint());
      call(nobody, Caller::Target::kSilent);
    }
    call(sink_->address(), Caller::Target::kOpen);
    call(refuser_->address(), Caller::Target::kRefusing);
  }
  timers_.set(plan_.timers);
  if (plan_.restart_server) {
    restart_ = loop_.after(std::chrono::microseconds(run_.dice.up_to(10'000)),
                           [this] { server_->restart(); });
  }
}

// What another thread does while the loop sleeps: that thread runs, and ours waits for it, so that
// the order stays the same each time.
void World::act_while_asleep() {
  const std::uint64_t failed_before = std::exchange(failed_waits_, loop_.stats().failed_waits);
  const Duration longest = failed_waits_ != failed_before ? kLongestPause : kLongestWakeUp;
  if (!run_.dice.one_in(plan_.afar)) return;
  const std::uint64_t action = run_.dice.up_to(7);
  std::vector<End*> ends;
  for_each_end([&](End& end) {
    if (end.side().connected() && !end.side().ended()) ends.push_back(&end);
  });
  End* const chosen = ends.empty() ? nullptr : ends[run_.dice.up_to(ends.size() - 1)];
  std::thread([&] {
    if (action < 4 || chosen == nullptr) {
      post_from_afar(longest);
    } else {
      chosen->act_from_afar(action);
    }
  }).join();
}

void World::post_from_afar(Duration longest) {
  const std::uint64_t number = ++posted_;
  const MonotonicTime now = platform::monotonic_now();
  ledger_.note("task " + std::to_string(number) + " is posted while the loop sleeps");
  loop_.post([this, number, now, longest] {
    const Duration took = platform::monotonic_now() - now;
    ledger_.note("task " + std::to_string(number));
    ledger_.require(++tasks_run_ == number, "tasks out of order");
    ledger_.require(took < longest || options_.real_kernel,
                    "a task waits for " + std::to_string(took.count()) + " ns to be woken for");
  });
}

void World::caught(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    ledger_.problem(std::string("an exception reached the loop: ") + error.what());
  }
}

bool World::all_done() const {
  return std::ranges::all_of(talkers_, [](const auto& one) { return one->done(); }) &&
         std::ranges::all_of(callers_, [](const auto& one) { return one->done(); });
}

std::string World::who_hangs() const {
  std::string text;
  for (const auto& talker : talkers_) {
    if (!talker->done()) text += (text.empty() ? "" : "; ") + talker->state();
  }
  for (const auto& caller : callers_) {
    if (!caller->done()) text += (text.empty() ? "" : "; ") + caller->name();
  }
  return text.empty() ? "the server's graceful stop" : text;
}

// A wait may fail for want of memory, and is then made again.
void World::turn() {
  try {
    loop_.run_once();
  } catch (const std::system_error& error) {
    ledger_.require(!plan_.calm, std::string("waiting fails: ") + error.what());
    faults_.note_progress();
  }
  for_each_end([](End& end) { end.side().check_memory(); });
  if (faults_.calls() > plan_.fault_calls) faults_.set_chances(harmless(plan_.faults));
}

void World::serve() {
  const Timer limit = loop_.after(kLongestRun, [this] { over_ = true; });
  std::uint64_t turns = 0;
  bool finishing = false;
  while (!over_ && !(finishing && server_->done())) {
    turn();
    if (++turns > kMostTurns) break;
    if (!ledger_.problems().empty()) return;  // what follows is its effect
    if (finishing || !all_done()) continue;
    finishing = true;
    restart_.cancel();
    server_->finish();
  }
  ledger_.require(turns <= kMostTurns, "the loop spins");
  ledger_.require(!over_, "hangs: " + who_hangs());
}

// Takes everything down. Clients first: what they hear at their end is checked against the server.
void World::clear() {
  faults_.set_chances({});
  faults_.set_on_sleep({});
  restart_.cancel();
  timers_.clear();
  for (const auto& talker : talkers_) talker->destroy();
  for (const auto& caller : callers_) caller->destroy();
  sink_.reset();
  refuser_.reset();
}

// What has to hold when all are done: nothing is left, and nothing was lost on the way.
void World::check_end() {
  for (const auto& caller : callers_) caller->check_ended();
  clear();
  for (int turns = 0; turns < 3; ++turns) loop_.run_once(Duration::zero());
  for_each_end([this](End& end) {
    end.side().check_ended();
    ++connections_;
    bytes_ += end.side().received_bytes();
  });
  server_->check_stats();
  server_.reset();
  ledger_.require(tasks_run_ == posted_, "a posted task has never run");
  ledger_.require(loop_.stats().watched == 1, "the loop still watches something");
  ledger_.require(loop_.stats().stale_events >= befallen("stale"),
                  "a stale event was taken for new");
  ledger_.require(faults_.longest_idling() <= kMostIdling,
                  std::to_string(faults_.longest_idling()) + " waits in a row for nothing");
  for (const std::string& left : faults_.open_descriptors()) {
    const bool is_loops = std::ranges::find(loop_descriptors_, left) != loop_descriptors_.end();
    ledger_.require(is_loops || left.find("epoll_create1") != std::string::npos,
                    "a descriptor is left: " + left);
  }
  if (!options_.real_kernel) check_timers();
}

// An hour in which nothing happens: a timer that is left would end it.
void World::check_timers() {
  const LoopStats before = loop_.stats();
  loop_.run_once(1h);
  ledger_.require(loop_.stats().timers == before.timers, "a timer is left");
  ledger_.require(loop_.stats().waits == before.waits + 1, "the wait of an hour isn't one wait");
}

void World::play() {
  loop_descriptors_ = faults_.open_descriptors();
  begin();
  serve();
  if (ledger_.problems().empty()) check_end();
  for_each_end([](End& end) { end.side().forced("ends with the run"); });
  clear();
  server_.reset();
}

std::uint64_t World::befallen(std::string_view fault) const {
  const auto at = faults_.befallen().find(fault);
  return at == faults_.befallen().end() ? 0 : at->second;
}

void World::report(Outcome& outcome) const {
  outcome.problems = ledger_.problems();
  outcome.connections = connections_;
  outcome.bytes = bytes_;
}

void finish(const sim::Faults& faults, Outcome& outcome) {
  for (const std::string& misuse : faults.misuse()) outcome.problems.push_back(misuse);
  if (outcome.problems.empty()) {
    for (const std::string& left : faults.open_descriptors()) {
      outcome.problems.push_back("left when the loop has gone: " + left);
    }
  }
  for (const auto& [fault, count] : faults.befallen()) outcome.faults[std::string(fault)] = count;
  outcome.trace = faults.trace();
  outcome.calls = faults.calls();
  outcome.longest_idling = faults.longest_idling();
}

}  // namespace

Outcome run_seed(const RunOptions& options) {
  Dice dice(options.seed);
  const Plan plan = draw_plan(dice);
  std::optional<sim::Kernel> kernel;
  if (!options.real_kernel) kernel.emplace(kernel_options(options, plan));
  sim::Faults faults(fault_options(options));
  const std::shared_ptr<void> mutation = options.mutation ? options.mutation() : nullptr;
  Outcome outcome;
  try {
    World world(options, plan, dice, faults);
    world.play();
    world.report(outcome);
  } catch (const std::exception& error) {
    outcome.problems.push_back(std::string("the run ends by ") + error.what());
  }
  finish(faults, outcome);
  return outcome;
}

}  // namespace pollard::chaos
