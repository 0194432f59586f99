#include "pollard/net/resolver.h"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <mutex>
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
  if (!where.is_every_interface()) return {where.address()};
  return {Address::any_ipv6(where.address().port()), where.address()};
}

// The helpers that nobody waits for any more. Never destroyed: the last of them may come back while
// the program ends.
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
    std::notify_all_at_thread_exit(gone_, std::move(lock));
  }
  bool wait(Duration limit) {
    std::unique_lock lock(mutex_);
    return gone_.wait_for(lock, std::min(limit, platform::kLongestTimeout),
                          [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable gone_;
  std::size_t count_ = 0;
};

}  // namespace

// What one asker waits with. Lives in its loop's thread; others hold it weakly, for the loop.
class Lookup::Question : public std::enable_shared_from_this<Question> {
 public:
  Question(Resolver::OnResolved on_resolved, std::weak_ptr<Resolver::Pool> pool, Name name)
      : on_resolved_(std::move(on_resolved)), pool_(std::move(pool)), name_(std::move(name)) {}

  void limit(EventLoop& loop, Duration deadline);
  void withdraw();
  [[nodiscard]] bool active() const { return static_cast<bool>(on_resolved_); }

  void answer(std::error_code error, const Addresses& addresses) {
    if (!active()) return;
    deadline_.cancel();
    const Resolver::OnResolved running = std::exchange(on_resolved_, {});
    running(error, addresses);
  }

  static void answer_later(const LoopHandle& loop, std::weak_ptr<Question> question,
                           std::error_code error,
                           std::shared_ptr<const Addresses> addresses = nullptr) {
    loop.post([question = std::move(question), error, addresses = std::move(addresses)] {
      const auto keep = question.lock();
      if (keep != nullptr) keep->answer(error, addresses == nullptr ? Addresses() : *addresses);
    });
  }

 private:
  Resolver::OnResolved on_resolved_;  // empty: answered, or withdrawn
  std::weak_ptr<Resolver::Pool> pool_;
  Name name_;
  Timer deadline_;
};

// The helpers, and what they have to look up. Owned by the resolver and by each helper.
class Resolver::Pool : public std::enable_shared_from_this<Pool> {
 public:
  explicit Pool(const ResolverOptions& options) : options_(options) {}

  std::error_code ask(const Name& name, const LoopHandle& loop,
                      const std::shared_ptr<Lookup::Question>& question);
  void withdraw(const Name& name, const Lookup::Question& question);
  void end();
  [[nodiscard]] bool forked() const { return process_ != platform::fork_generation(); }

 private:
  struct Asker {
    LoopHandle loop;
    std::weak_ptr<Lookup::Question> question;
    const Lookup::Question* identity;  // never followed
  };
  struct Job {
    Name name;
    bool taken = false;  // by a helper
    std::vector<Asker> askers;
  };
  struct Helper {
    std::thread thread;
    bool busy = false;
    bool left_behind = false;
  };

  std::error_code need_helper();
  [[nodiscard]] bool serve(Helper& self);
  void look_up_first(Helper& self, std::unique_lock<std::mutex>& lock);
  [[nodiscard]] std::vector<std::thread> dismiss_helpers();

  const ResolverOptions options_;
  const std::uint32_t process_ = platform::fork_generation();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Name, std::shared_ptr<Job>> jobs_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::list<Helper> helpers_;
  std::size_t idle_ = 0;
  bool ended_ = false;
};

std::error_code Resolver::Pool::ask(const Name& name, const LoopHandle& loop,
                                    const std::shared_ptr<Lookup::Question>& question) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Job>& job = jobs_[name];
  if (job == nullptr) {
    std::error_code refused;
    if (waiting_.size() >= options_.max_waiting) {
      refused = std::make_error_code(std::errc::resource_unavailable_try_again);
    } else {
      refused = need_helper();
    }
    if (refused) {
      jobs_.erase(name);
      return refused;
    }
    job = std::make_shared<Job>(Job{.name = name, .askers = {}});
    waiting_.push_back(job);
    changed_.notify_one();
  }
  job->askers.push_back({loop, question, question.get()});
  return {};
}

// One for the job that is about to wait, unless one is free or there are enough.
std::error_code Resolver::Pool::need_helper() {
  if (idle_ > waiting_.size() || helpers_.size() >= std::max(options_.max_threads, 1U)) return {};
  helpers_.emplace_back();
  Helper& helper = helpers_.back();
  try {
    helper.thread = std::thread([pool = shared_from_this(), &helper]() mutable {
      const bool left_behind = pool->serve(helper);
      pool.reset();
      if (left_behind) LeftBehind::only().remove();
    });
  } catch (const std::system_error& error) {
    helpers_.pop_back();
    // The others will come to it.
    return helpers_.empty() ? error.code() : std::error_code();
  }
  return {};
}

// True when the helper was left behind.
bool Resolver::Pool::serve(Helper& self) {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    if (!waiting_.empty()) {
      look_up_first(self, lock);
    } else {
      ++idle_;
      changed_.wait(lock);
      --idle_;
    }
  }
  return self.left_behind;
}

void Resolver::Pool::look_up_first(Helper& self, std::unique_lock<std::mutex>& lock) {
  const std::shared_ptr<Job> job = std::move(waiting_.front());
  waiting_.pop_front();
  job->taken = true;
  self.busy = true;
  lock.unlock();
  auto addresses = std::make_shared<Addresses>();
  const std::error_code error = look_up(job->name, *addresses);
  lock.lock();
  self.busy = false;
  if (ended_) return;
  jobs_.erase(job->name);
  const std::vector<Asker> askers = std::move(job->askers);
  lock.unlock();
  for (const Asker& asker : askers) {
    Lookup::Question::answer_later(asker.loop, asker.question, error, addresses);
  }
  lock.lock();
}

void Resolver::Pool::withdraw(const Name& name, const Lookup::Question& question) {
  if (forked()) return;
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return;
  const std::shared_ptr<Job> job = found->second;
  std::erase_if(job->askers, [&](const Asker& asker) { return asker.identity == &question; });
  if (!job->askers.empty() || job->taken) return;
  jobs_.erase(found);
  std::erase(waiting_, job);
}

void Resolver::Pool::end() {
  // In a forked child there are no helpers, and a lock that one of them held is held for ever. What
  // they own stays as it is.
  if (forked()) return;
  std::vector<Asker> askers;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    for (const auto& [name, job] : std::exchange(jobs_, {})) {
      std::ranges::move(job->askers, std::back_inserter(askers));
    }
    waiting_.clear();
  }
  for (std::thread& thread : dismiss_helpers()) thread.join();
  for (const Asker& asker : askers) {
    Lookup::Question::answer_later(asker.loop, asker.question,
                                   std::make_error_code(std::errc::operation_canceled));
  }
}

// Those that end by themselves now.
std::vector<std::thread> Resolver::Pool::dismiss_helpers() {
  std::vector<std::thread> ending;
  const std::lock_guard lock(mutex_);
  for (Helper& helper : helpers_) {
    if (helper.busy) {
      helper.left_behind = true;
      LeftBehind::only().add();
      helper.thread.detach();
    } else {
      ending.push_back(std::move(helper.thread));
    }
  }
  changed_.notify_all();
  return ending;
}

void Lookup::Question::limit(EventLoop& loop, Duration deadline) {
  deadline_ = loop.after(deadline, [this] {
    const auto keep = shared_from_this();
    if (const auto pool = pool_.lock()) pool->withdraw(name_, *this);
    answer(std::make_error_code(std::errc::timed_out), {});
  });
}

void Lookup::Question::withdraw() {
  if (!active()) return;
  deadline_.cancel();
  if (const auto pool = pool_.lock()) pool->withdraw(name_, *this);
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
  const auto question =
      std::make_shared<Lookup::Question>(std::move(on_resolved), pool_->weak_from_this(), name);
  const LoopHandle handle = loop.handle();
  if (where.is_literal()) {
    Lookup::Question::answer_later(handle, question, {},
                                   std::make_shared<const Addresses>(addresses_of_literal(where)));
    return Lookup(question);
  }
  question->limit(loop, deadline);
  const std::error_code refused =
      pool_->forked() ? make_error_code(Error::kForked) : pool_->ask(name, handle, question);
  if (refused) Lookup::Question::answer_later(handle, question, refused);
  return Lookup(question);
}

std::vector<Address> Resolver::resolve_and_wait(const HostPort& where) {
  if (where.is_literal()) return addresses_of_literal(where);
  Addresses addresses;
  if (const std::error_code error = look_up({where.host(), where.service()}, addresses)) {
    throw std::system_error(error, "look up " + where.to_string());
  }
  return addresses;
}

bool Resolver::join_left_behind(Duration limit) { return LeftBehind::only().wait(limit); }

}  // namespace pollard
