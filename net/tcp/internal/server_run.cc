#include "pollard/net/tcp/internal/server_run.h"

#include <string>
#include <system_error>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/base/log.h"

namespace pollard {

// A connection on its way to the loop of a thread. When that loop ends first, it is destroyed there
// without having been called: then it is refused, and its ticket counts it out.
class ServerRun::HandOver {
 public:
  // The run outlives it: the shard's thread, and with that its mailbox, ends before the run does.
  HandOver(ServerRun& run, Shard& shard, Newcomer newcomer, Admissions::Ticket ticket)
      : run_(&run), shard_(&shard), newcomer_(std::move(newcomer)), ticket_(std::move(ticket)) {}
  HandOver(HandOver&& other) noexcept
      : run_(std::exchange(other.run_, nullptr)),
        shard_(other.shard_),
        newcomer_(std::move(other.newcomer_)),
        ticket_(std::move(other.ticket_)) {}
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;
  ~HandOver() {
    if (run_ != nullptr) run_->setup_.counts.add_refused();
  }

  void operator()() {
    ServerRun& run = *std::exchange(run_, nullptr);
    run.open(shard_, std::move(newcomer_), std::move(ticket_));
  }

 private:
  ServerRun* run_;
  Shard* shard_;
  Newcomer newcomer_;
  Admissions::Ticket ticket_;
};

ServerRun::ServerRun(std::shared_ptr<ServerSetup> setup, std::vector<Address> addresses)
    : shared_setup_(std::move(setup)),
      setup_(*shared_setup_),
      addresses_(std::move(addresses)),
      base_group_(std::make_shared<ConnectionGroup>(setup_.loop, setup_.handlers,
                                                    setup_.options.connection)),
      base_counts_(std::in_place, setup_.counts, *base_group_) {
  open_door(door_, setup_.loop, nullptr);
  addresses_ = door_.acceptors->addresses();
}

ServerRun::~ServerRun() {
  POLLARD_ASSERT(shards_.empty(), "a run that was started must be stopped before its end");
  base_group_->abandon();
}

// ---- Starting and accepting ----

void ServerRun::open_door(Door& door, EventLoop& loop, Shard* shard) {
  // A handler may end the run of its own loop. A shard's thread can't: the run outlives it.
  auto accept = [this, shard](platform::Descriptor&& socket, Address&& peer) {
    const auto keep = shard == nullptr ? shared_from_this() : nullptr;
    accepted(shard, {std::move(socket), std::move(peer)});
  };
  auto report = [this, shard](const ListenFailure& failure) {
    if (shard == nullptr && failure.error == Error::kLoopClosed) return;  // the user ends that loop
    if (setup_.options.on_listen_failure) return setup_.options.on_listen_failure(failure);
    log(LogLevel::kError, failure.to_string());
  };
  // What is accepted inherits them, which saves the calls on each connection.
  auto prepare = [this](int fd, const Address& address) {
    apply_socket_options(fd, address, setup_.options.connection);
  };
  door.acceptors = std::make_unique<AcceptorGroup>(loop, addresses_, setup_.options.listen,
                                                   AcceptHandlers{.on_accept = std::move(accept),
                                                                  .on_failure = std::move(report),
                                                                  .on_bound = std::move(prepare)});
  door.counts.emplace(setup_.counts, *door.acceptors);
}

void ServerRun::close_door(Door& door) {
  door.waiting.reset();
  door.counts.reset();
  door.acceptors.reset();
}

void ServerRun::start() {
  // The end of a connection can't be refused, so what it leads to needs no memory.
  const auto notify = [this](void (ServerRun::*what)()) {
    return
        [handle = setup_.handle, notice = std::make_shared<Notice>([run = weak_from_this(), what] {
                                   if (const auto keep = run.lock()) ((*keep).*what)();
                                 })] { handle.post(notice); };
  };
  const bool waits = setup_.options.when_full == WhenFull::kWait;
  admissions_ = std::make_shared<Admissions>(setup_.options.max_connections,
                                             waits ? Task(notify(&ServerRun::make_room)) : Task(),
                                             notify(&ServerRun::drained));
  setup_.counts.set_admissions(admissions_);
  // The group may outlive this run: a connection that has stopped the server is still ending.
  base_group_->set_on_closed([admissions = admissions_] { admissions->leave(nullptr); });
  for (unsigned i = 0; i < setup_.options.threads; ++i) start_shard();
  listen();
}

void ServerRun::start_shard() {
  EventLoopOptions options;
  if (setup_.options.thread_options) {
    options = setup_.options.thread_options(static_cast<unsigned>(shards_.size()));
  }
  if (options.poller.names.empty()) options.poller = std::string(setup_.loop.poller_name());
  if (!options.on_exception) {  // run() of a thread has no caller that could catch it
    options.on_exception = [handle = setup_.handle,
                            loop = &setup_.loop](const std::exception_ptr& exception) {
      handle.post([loop, exception] { loop->report_exception(exception); });
    };
  }
  auto shard = std::make_unique<Shard>();
  shard->room = std::make_shared<Notice>([run = weak_from_this(), shard = shard.get()] {
    if (const auto keep = run.lock()) keep->let_in(shard);
  });
  shard->thread = std::make_unique<LoopThread>(std::move(options), [&](EventLoop& loop) {
    shard->group =
        std::make_shared<ConnectionGroup>(loop, setup_.handlers, setup_.options.connection);
    shard->counts.emplace(setup_.counts, *shard->group);
    shard->group->set_on_closed(
        [admissions = admissions_, shard = shard.get()] { admissions->leave(&shard->load); });
    if (setup_.options.on_thread_start) setup_.options.on_thread_start(loop);
  });
  shards_.push_back(std::move(shard));
}

void ServerRun::listen() {
  if (!setup_.threads_listen()) return door_.acceptors->listen();
  for (const auto& shard : shards_) {
    shard->thread->run_and_wait([&](EventLoop& loop) {
      open_door(shard->door, loop, shard.get());
      shard->door.acceptors->listen();
    });
  }
}

// In the acceptor's thread.
void ServerRun::accepted(Shard* shard, Newcomer newcomer) {
  Door& door = door_of(shard);
  Admissions::Ticket ticket = admit(door);
  if (!ticket) {
    if (setup_.options.when_full == WhenFull::kWait) {
      door.waiting.emplace(std::move(newcomer));
    } else {
      setup_.counts.add_refused();
    }
  } else if (shard == nullptr && !shards_.empty()) {
    hand_over(std::move(newcomer), std::move(ticket));
  } else {
    if (shard != nullptr) ticket.count_in(shard->load);
    open(shard, std::move(newcomer), std::move(ticket));
  }
}

Admissions::Ticket ServerRun::admit(Door& door) {
  Admissions::Ticket ticket = admissions_->try_admit();
  // A connection that ends just now posts its make_room() behind this.
  if (setup_.options.when_full == WhenFull::kWait && admissions_->full()) door.acceptors->pause();
  return ticket;
}

// In the thread of its loop.
void ServerRun::open(Shard* shard, Newcomer newcomer, Admissions::Ticket ticket) {
  ConnectionGroup& group = shard != nullptr ? *shard->group : *base_group_;
  // From the moment in which the connection exists, its end counts it out. It may be over by then.
  if (!group.open(std::move(newcomer.socket), std::move(newcomer.peer))) ticket.use_up();
}

// ---- Spreading ----

// Among those whose loops are there; null when all have ended.
ServerRun::Shard* ServerRun::choose_shard() {
  Shard* chosen = nullptr;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    next_shard_ = (next_shard_ + 1) % shards_.size();
    Shard* const shard = shards_[next_shard_].get();
    if (!shard->thread->handle().alive()) {
      report_gone(*shard);
      continue;
    }
    if (setup_.options.balance != LoadBalancing::kLeastConnections) return shard;
    if (chosen == nullptr || shard->load.load() < chosen->load.load()) chosen = shard;
  }
  return chosen;
}

void ServerRun::report_gone(Shard& shard) {
  if (std::exchange(shard.reported_gone, true)) return;
  // An exception that has ended it was reported by on_exception.
  std::size_t left = 0;
  for (const auto& other : shards_) left += other->thread->handle().alive() ? 1U : 0U;
  const std::string what = "the loop of a thread of the server at " +
                           addresses_.front().to_string() + " has ended; " + std::to_string(left) +
                           " of " + std::to_string(shards_.size()) + " threads are left";
  log(LogLevel::kWarning, what);
  if (left == 0) {
    setup_.loop.report_exception(
        std::make_exception_ptr(std::system_error(Error::kLoopClosed, what)));
  }
}

void ServerRun::hand_over(Newcomer newcomer, Admissions::Ticket ticket) {
  Shard* const shard = choose_shard();
  if (shard == nullptr) return setup_.counts.add_refused();
  ticket.count_in(shard->load);
  static_cast<void>(shard->thread->handle().post(
      HandOver(*this, *shard, std::move(newcomer), std::move(ticket))));
}

// ---- Room ----

void ServerRun::make_room() {
  for (const auto& shard : shards_) shard->thread->handle().post(shard->room);
  let_in(nullptr);
}

// In the thread of the door.
void ServerRun::let_in(Shard* shard) {
  Door& door = door_of(shard);
  if (door.acceptors == nullptr) return;
  door.acceptors->resume();
  if (!door.waiting.has_value()) return;
  Newcomer first = std::move(*door.waiting);
  door.waiting.reset();
  accepted(shard, std::move(first));
}

// ---- Ending ----

void ServerRun::stop_accepting() {
  close_door(door_);
  for (const auto& shard : shards_) {
    run_in(*shard, [&](EventLoop&) { close_door(shard->door); });
  }
}

template <class Work>
void ServerRun::in_each_group(Work work) {
  setup_.handle.post([group = base_group_, work] { work(*group); });
  for (const auto& shard : shards_) {
    shard->thread->handle().post([group = shard->group, work] { work(*group); });
  }
}

void ServerRun::drain(Duration limit, Task on_drained) {
  on_drained_ = std::move(on_drained);
  stop_accepting();
  in_each_group([limit](ConnectionGroup& group) { group.drain_all(limit); });
  admissions_->begin_draining();
}

void ServerRun::drained() {
  if (admissions_->count() > 0) return;
  if (const Task then = std::move(on_drained_)) then();
}

void ServerRun::stop() {
  on_drained_ = {};
  stop_accepting();
  base_group_->close_all({});
  for (const auto& shard : std::exchange(shards_, {})) stop_shard(*shard);
}

void ServerRun::stop_shard(Shard& shard) {
  // What was handed over before is open by the time that this runs.
  run_in(shard, [&](EventLoop&) { shard.group->close_all({}); });
  shard.thread.reset();
  if (shard.group != nullptr) shard.group->abandon();
}

// In the shard's thread; unless the loop there has ended, and with it what lived in it.
void ServerRun::run_in(Shard& shard, const MoveFunction<void(EventLoop&)>& task) {
  try {
    shard.thread->run_and_wait(task);
  } catch (const std::system_error& error) {
    if (error.code() != Error::kLoopClosed) throw;
  }
}

// ---- Asking ----

void ServerRun::for_each_connection(const std::shared_ptr<const TcpServer::Visitor>& visit) {
  in_each_group([visit](ConnectionGroup& group) { group.for_each(*visit); });
}

std::vector<TcpServerThread> ServerRun::threads() {
  std::vector<TcpServerThread> all;
  const auto ask = [&all](const EventLoop& loop, const ConnectionGroup& group) {
    all.push_back({.poller = std::string(loop.poller_name()),
                   .loop = loop.stats(),
                   .open = group.open_count(),
                   .buffer_memory = group.buffer_memory()});
  };
  if (shards_.empty()) ask(setup_.loop, *base_group_);
  for (const auto& shard : shards_) {
    run_in(*shard, [&](EventLoop& loop) { ask(loop, *shard->group); });
  }
  return all;
}

}  // namespace pollard
