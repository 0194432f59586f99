#include "pollard/net/names/resolver.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/platform/names.h"
#include "pollard/platform/process.h"
#include "pollard/platform/time.h"

namespace pollard {
namespace {

using Addresses = std::vector<Address>;
using Name = std::pair<std::string, std::string>;  // host and service

std::error_code look_up(const Name& name, Addresses& addresses) {
  std::vector<platform::Endpoint> found;
  const std::error_code error = platform::look_up(name.first, name.second, found);
  for (platform::Endpoint& endpoint : found) addresses.emplace_back(std::move(endpoint));
  return error;
}

Addresses addresses_of_literal(const HostPort& where) {
  if (!where.is_wildcard()) return {where.address()};
  return {Address::any_ipv6(where.address().port()), where.address()};
}

// Names that a machine knows by itself (RFC 6761 6.3) and numbers, which no name server is asked
// for.
bool is_local(std::string host) {
  const auto is_number = [](char character) {
    return character == '.' || (character >= '0' && character <= '9');
  };
  if (std::ranges::all_of(host, is_number)) return true;
  for (char& character : host) {
    if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
  }
  if (host.ends_with('.')) host.pop_back();
  return host == "localhost" || host.ends_with(".localhost");
}

// The helpers that have been left behind. Never destroyed: the last of them may come back while the
// program ends.
class LeftBehind {
 public:
  static LeftBehind& only() {
    static auto& only = *new LeftBehind;
    return only;
  }

  void add() {
    const std::lock_guard lock(mutex_);
    ++count_;
  }
  // The last thing that a helper does.
  void remove() {
    std::unique_lock lock(mutex_);
    --count_;
    try {
      std::notify_all_at_thread_exit(gone_, std::move(lock));
    } catch (const std::bad_alloc&) {
      gone_.notify_all();
    }
  }
  bool wait(Duration limit) {
    std::unique_lock lock(mutex_);
    return gone_.wait_for(lock, std::clamp(limit, Duration::zero(), platform::kLongestTimeout),
                          [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable gone_;
  std::size_t count_ = 0;
};

}  // namespace

// What one caller waits with. Lives in its loop's thread; others hold it weakly, for the loop.
class Lookup::Question : public std::enable_shared_from_this<Question> {
 public:
  Question(const LoopHandle& loop, Resolver::OnResolved on_resolved,
           std::weak_ptr<Resolver::Pool> pool, Name name)
      : loop_(loop),
        on_resolved_(std::move(on_resolved)),
        pool_(std::move(pool)),
        name_(std::move(name)) {}

  void limit(EventLoop& loop, Duration deadline, Duration patience);
  void withdraw();
  [[nodiscard]] bool active() const {
    loop_.assert_in_loop_thread_or_gone();
    return static_cast<bool>(on_resolved_);
  }
  [[nodiscard]] const LoopHandle& loop() const { return loop_; }

  // Names the question to the pool, which writes it before another thread knows of it.
  std::uint64_t number = 0;

  void answer(std::error_code error, const Addresses& addresses) {
    if (!active()) return;
    timer_.cancel();
    const Resolver::OnResolved running = std::exchange(on_resolved_, {});
    running(error, addresses);
  }

  static void answer_later(const LoopHandle& loop, std::weak_ptr<Question> question,
                           std::error_code error,
                           std::shared_ptr<const Addresses> addresses = nullptr) {
    loop.post([question = std::move(question), error, addresses = std::move(addresses)] {
      const Addresses none;
      const auto keep = question.lock();
      if (keep != nullptr) keep->answer(error, addresses == nullptr ? none : *addresses);
    });
  }

 private:
  void on_timer();

  LoopHandle loop_;
  Resolver::OnResolved on_resolved_;  // empty: answered, or withdrawn
  std::weak_ptr<Resolver::Pool> pool_;
  Name name_;
  MonotonicTime deadline_{};
  Duration patience_{};
  Timer timer_;
};

// The helpers, and what they have to look up. Owned by the resolver and by each helper.
//
// Names go through one of two lanes, each with helpers of its own, so that what a machine knows by
// itself never waits for name servers. A helper whose lookup hangs stays where it is, and another
// takes its place; when it comes back, one of them ends.
class Resolver::Pool : public std::enable_shared_from_this<Pool> {
 public:
  explicit Pool(const ResolverOptions& options) : options_(options) {}

  std::error_code ask(const Name& name, const std::shared_ptr<Lookup::Question>& question);
  void withdraw(const Name& name, std::uint64_t number);
  [[nodiscard]] bool waits(const Name& name);
  void end();
  [[nodiscard]] bool forked() const { return process_ != platform::fork_generation(); }
  [[nodiscard]] ResolverStats stats();
  [[nodiscard]] Duration patience() const {
    return std::max<Duration>(options_.hangs_after, std::chrono::milliseconds(1));
  }

 private:
  struct Asker {
    LoopHandle loop;
    std::weak_ptr<Lookup::Question> question;
  };
  using Askers = std::map<std::uint64_t, Asker>;  // in the order in which they asked
  struct Lane;
  // kWaiting ──▶ kRunning (a helper looks it up) ──▶ kDone (it answers the askers)
  enum class JobState : std::uint8_t { kWaiting, kRunning, kDone };
  struct Job {
    Name name;
    Lane& lane;
    std::uint64_t number = 0;
    JobState state = JobState::kWaiting;
    MonotonicTime began{};
    Askers askers = {};
  };
  struct Helper {
    std::thread thread;
    std::shared_ptr<Job> job = {};  // null: it is free
    bool left_behind = false;
  };
  using Jobs = std::map<std::uint64_t, std::shared_ptr<Job>>;  // in the order of asking
  struct Lane {
    std::size_t max_threads;
    std::size_t max_hanging;
    Jobs waiting = {};
    std::list<Helper> helpers = {};
    std::condition_variable changed = {};
  };

  [[nodiscard]] static std::size_t at_least_one(unsigned count) { return std::max(count, 1U); }
  [[nodiscard]] bool hangs(const Helper& helper, MonotonicTime now) const;
  [[nodiscard]] std::size_t count_hanging(const Lane& lane) const;
  [[nodiscard]] std::error_code make_helpers(Lane& lane, std::size_t jobs);
  void start_helper(Lane& lane);
  void replace_hanging(Lane& lane) noexcept;
  [[nodiscard]] bool serve(Lane& lane, std::list<Helper>::iterator self);
  void look_up_first(Lane& lane, Helper& self, std::unique_lock<std::mutex>& lock);
  void answer_all(Askers askers, std::error_code error,
                  const std::shared_ptr<const Addresses>& addresses);
  void dismiss_helpers(Lane& lane, std::list<Helper>& ending);

  const ResolverOptions options_;
  const std::uint32_t process_ = platform::fork_generation();
  std::mutex mutex_;
  std::condition_variable memory_;             // nothing notifies it: a pause
  std::map<Name, std::shared_ptr<Job>> jobs_;  // neither answered nor withdrawn
  Lane remote_{.max_threads = at_least_one(options_.max_threads),
               .max_hanging = options_.max_hanging};
  Lane local_{.max_threads = 1, .max_hanging = 1};
  std::uint64_t number_ = 0;
  bool ended_ = false;
};

std::error_code Resolver::Pool::ask(const Name& name,
                                    const std::shared_ptr<Lookup::Question>& question) {
  const std::lock_guard lock(mutex_);
  question->number = ++number_;
  const Asker asker{question->loop(), question};
  if (const auto found = jobs_.find(name); found != jobs_.end()) {
    found->second->askers.emplace(number_, asker);
    return {};
  }
  Lane& lane = is_local(name.first) ? local_ : remote_;
  if (lane.waiting.size() >= options_.max_waiting) {
    return std::make_error_code(std::errc::resource_unavailable_try_again);
  }
  if (const std::error_code error = make_helpers(lane, lane.waiting.size() + 1)) return error;
  const auto job = std::make_shared<Job>(Job{.name = name, .lane = lane, .number = number_});
  job->askers.emplace(number_, asker);
  Jobs place{{number_, job}};  // whatever throws, throws before anything has changed
  jobs_.emplace(name, job);
  lane.waiting.merge(place);
  lane.changed.notify_one();
  return {};
}

bool Resolver::Pool::hangs(const Helper& helper, MonotonicTime now) const {
  if (helper.job == nullptr || helper.job->state != JobState::kRunning) return false;
  return helper.job->askers.empty() || now - helper.job->began >= patience();
}

std::size_t Resolver::Pool::count_hanging(const Lane& lane) const {
  const MonotonicTime now = platform::monotonic_now();
  return static_cast<std::size_t>(
      std::ranges::count_if(lane.helpers, [&](const Helper& it) { return hangs(it, now); }));
}

// Until there is a free one for each of so many jobs, or there are enough. Fails when there are
// none at all.
std::error_code Resolver::Pool::make_helpers(Lane& lane, std::size_t jobs) {
  const auto is_free = [](const Helper& helper) { return helper.job == nullptr; };
  auto free = static_cast<std::size_t>(std::ranges::count_if(lane.helpers, is_free));
  if (free >= jobs) return {};
  const std::size_t extra = std::min(count_hanging(lane), lane.max_hanging);
  const auto may_have_more = [&] {
    return lane.helpers.size() < lane.max_threads || lane.helpers.size() - lane.max_threads < extra;
  };
  for (; free < jobs && may_have_more(); ++free) {
    try {
      start_helper(lane);
    } catch (const std::system_error& error) {
      return lane.helpers.empty() ? error.code() : std::error_code();
    } catch (const std::bad_alloc&) {
      if (lane.helpers.empty()) return std::make_error_code(std::errc::not_enough_memory);
      return {};
    }
  }
  return {};
}

void Resolver::Pool::start_helper(Lane& lane) {
  const auto self = lane.helpers.emplace(lane.helpers.end());
  try {
    self->thread = std::thread([pool = shared_from_this(), &lane, self]() mutable {
      const bool left_behind = pool->serve(lane, self);
      pool.reset();
      if (left_behind) LeftBehind::only().remove();
    });
  } catch (...) {
    lane.helpers.erase(self);
    throw;
  }
}

// Without memory or threads for it, the jobs wait on.
void Resolver::Pool::replace_hanging(Lane& lane) noexcept {
  if (!lane.waiting.empty()) static_cast<void>(make_helpers(lane, lane.waiting.size()));
}

// True when the helper was left behind.
bool Resolver::Pool::serve(Lane& lane, std::list<Helper>::iterator self) {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    if (lane.waiting.empty()) {
      lane.changed.wait(lock);
      continue;
    }
    look_up_first(lane, *self, lock);
    if (!ended_ && lane.helpers.size() > lane.max_threads &&
        lane.helpers.size() - lane.max_threads > count_hanging(lane)) {
      LeftBehind::only().add();
      self->thread.detach();
      lane.helpers.erase(self);
      return true;
    }
  }
  return self->left_behind;
}

void Resolver::Pool::look_up_first(Lane& lane, Helper& self, std::unique_lock<std::mutex>& lock) {
  const std::shared_ptr<Job> job = std::move(lane.waiting.begin()->second);
  lane.waiting.erase(lane.waiting.begin());
  job->state = JobState::kRunning;
  job->began = platform::monotonic_now();
  self.job = job;
  lock.unlock();
  std::shared_ptr<Addresses> addresses;
  std::error_code error;
  try {
    addresses = std::make_shared<Addresses>();
    error = look_up(job->name, *addresses);
  } catch (const std::bad_alloc&) {
    addresses = nullptr;
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  lock.lock();
  if (!ended_) {
    job->state = JobState::kDone;
    jobs_.erase(job->name);
    Askers askers = std::exchange(job->askers, {});
    lock.unlock();
    answer_all(std::move(askers), error, addresses);
    lock.lock();
  }
  self.job = nullptr;
}

// Short of memory for a post, it tries again: for ten seconds, for an asker has its deadline, too.
void Resolver::Pool::answer_all(Askers askers, std::error_code error,
                                const std::shared_ptr<const Addresses>& addresses) {
  constexpr int kMostPauses = 1000;
  for (int pauses = 0; !askers.empty() && pauses < kMostPauses;) {
    const Asker& asker = askers.begin()->second;
    try {
      Lookup::Question::answer_later(asker.loop, asker.question, error, addresses);
      askers.erase(askers.begin());
    } catch (const std::bad_alloc&) {
      ++pauses;
      std::unique_lock lock(mutex_);
      memory_.wait_for(lock, std::chrono::milliseconds(10));
    }
  }
}

void Resolver::Pool::withdraw(const Name& name, std::uint64_t number) {
  if (forked()) return;
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return;
  const std::shared_ptr<Job> job = found->second;
  job->askers.erase(number);
  if (!job->askers.empty()) return;
  if (job->state == JobState::kRunning) return replace_hanging(job->lane);
  job->lane.waiting.erase(job->number);
  jobs_.erase(found);
}

// Whether a helper is still to begin with it. Where helpers hang, others take their places.
bool Resolver::Pool::waits(const Name& name) {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end() || found->second->state != JobState::kWaiting) return false;
  replace_hanging(found->second->lane);
  return true;
}

void Resolver::Pool::end() {
  // In a forked child there are no helpers, and a lock that one of them held is held for ever. What
  // they own stays as it is.
  if (forked()) return;
  std::map<Name, std::shared_ptr<Job>> canceled;
  std::list<Helper> ending;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    canceled.swap(jobs_);
    for (Lane* lane : {&remote_, &local_}) {
      lane->waiting.clear();
      dismiss_helpers(*lane, ending);
    }
  }
  for (Helper& helper : ending) helper.thread.join();
  const std::error_code error = std::make_error_code(std::errc::operation_canceled);
  for (auto& [name, job] : canceled) answer_all(std::move(job->askers), error, nullptr);
}

// Those that are free end by themselves now; the others are left behind.
void Resolver::Pool::dismiss_helpers(Lane& lane, std::list<Helper>& ending) {
  for (auto next = lane.helpers.begin(); next != lane.helpers.end();) {
    const auto helper = next++;
    if (helper->job == nullptr) {
      ending.splice(ending.end(), lane.helpers, helper);
      continue;
    }
    helper->left_behind = true;
    LeftBehind::only().add();
    helper->thread.detach();
  }
  lane.changed.notify_all();
}

ResolverStats Resolver::Pool::stats() {
  ResolverStats stats;
  if (forked()) return stats;
  const std::lock_guard lock(mutex_);
  for (const Lane* lane : {&remote_, &local_}) {
    stats.helpers += lane->helpers.size();
    stats.hanging += count_hanging(*lane);
    stats.waiting += lane->waiting.size();
  }
  return stats;
}

// One timer, which is moved: first to where a name that still waits may need another helper, then
// to the deadline.
void Lookup::Question::limit(EventLoop& loop, Duration deadline, Duration patience) {
  const MonotonicTime now = platform::monotonic_now();
  deadline_ = saturating_add(now, deadline);
  patience_ = patience;
  timer_ = loop.every(Duration::max(), [this] { on_timer(); });
  timer_.restart_at(std::min(deadline_, saturating_add(now, patience)));
}

void Lookup::Question::on_timer() {
  const auto keep = shared_from_this();
  const auto pool = pool_.lock();
  const MonotonicTime now = platform::monotonic_now();
  if (now < deadline_) {
    const bool waits = pool != nullptr && !pool->forked() && pool->waits(name_);
    return timer_.restart_at(waits ? std::min(deadline_, saturating_add(now, patience_))
                                   : deadline_);
  }
  if (pool != nullptr) pool->withdraw(name_, number);
  answer(std::make_error_code(std::errc::timed_out), {});
}

void Lookup::Question::withdraw() {
  if (!active()) return;
  timer_.cancel();
  if (const auto pool = pool_.lock()) pool->withdraw(name_, number);
  // Last, for what it holds may be our owner.
  [[maybe_unused]] const Resolver::OnResolved ended = std::exchange(on_resolved_, {});
}

Lookup::Lookup(std::shared_ptr<Question> question) : question_(std::move(question)) {}

Lookup& Lookup::operator=(Lookup&& other) noexcept {
  Lookup old(std::exchange(question_, std::move(other.question_)));
  return *this;
}

void Lookup::cancel() {
  if (const auto question = std::exchange(question_, nullptr)) question->withdraw();
}

bool Lookup::active() const { return question_ != nullptr && question_->active(); }

Resolver::Resolver(const ResolverOptions& options) : pool_(std::make_shared<Pool>(options)) {}

Resolver::~Resolver() { pool_->end(); }

std::shared_ptr<Resolver> Resolver::shared() {
  static std::mutex mutex;
  static std::weak_ptr<Resolver> present;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Resolver> resolver = present.lock();
  if (resolver == nullptr || resolver->pool_->forked()) {
    resolver = std::make_shared<Resolver>();
    present = resolver;
  }
  return resolver;
}

Lookup Resolver::resolve(EventLoop& loop, const HostPort& where, OnResolved on_resolved,
                         Duration deadline) {
  loop.assert_in_loop_thread();
  const Name name(where.host(), where.service());
  const LoopHandle handle = loop.handle();
  const auto question = std::make_shared<Lookup::Question>(handle, std::move(on_resolved),
                                                           pool_->weak_from_this(), name);
  if (where.is_literal()) {
    Lookup::Question::answer_later(handle, question, {},
                                   std::make_shared<const Addresses>(addresses_of_literal(where)));
    return Lookup(question);
  }
  question->limit(loop, deadline, pool_->patience());
  const std::error_code refused =
      pool_->forked() ? make_error_code(Error::kForked) : pool_->ask(name, question);
  if (refused) Lookup::Question::answer_later(handle, question, refused);
  return Lookup(question);
}

ResolverStats Resolver::stats() const { return pool_->stats(); }

std::vector<Address> Resolver::resolve_blocking(const HostPort& where) {
  if (where.is_literal()) return addresses_of_literal(where);
  Addresses addresses;
  if (const std::error_code error = look_up({where.host(), where.service()}, addresses)) {
    throw std::system_error(error, "look up " + where.to_string());
  }
  return addresses;
}

bool Resolver::join_left_behind(Duration limit) { return LeftBehind::only().wait(limit); }

}  // namespace pollard
