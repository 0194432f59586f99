#include "pollard/net/tcp_server.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/acceptor_group.h"
#include "pollard/net/connection_group.h"
#include "pollard/net/loop_thread.h"

namespace pollard {
namespace {

void add(const AcceptorGroup& group, TcpServerStats& sum) {
  for (const auto& acceptor : group.acceptors()) {
    const AcceptCounts& counts = acceptor->counts();
    sum.accepted += counts.accepted.get();
    sum.turned_away += counts.turned_away.get();
    sum.aborted += counts.aborted.get();
    sum.accept_pauses += counts.pauses.get();
  }
}

void add(const ConnectionGroup& group, TcpServerStats& sum) {
  const ConnectionCounts& counts = group.counts();
  sum.failed += counts.failed.get();
  sum.bytes_received += counts.bytes_received.get();
  sum.bytes_sent += counts.bytes_sent.get();
  sum.sends_dropped += counts.sends_dropped.load();
  for (std::size_t i = 0; i < sum.closed.size(); ++i) sum.closed[i] += counts.closed[i].get();
}

}  // namespace

// Shared, so that what other threads tell it may come late: they hold it weakly.
class TcpServer::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, const HostPort& where, ConnectionHandlers handlers,
       TcpServerOptions options)
      : loop_(loop),
        handle_(loop.handle()),
        options_(std::move(options)),
        handlers_(share_handlers(std::move(handlers))) {
    options_.listen.reuse_port_balanced |= each_shard_listens();
    base_group_ = std::make_shared<ConnectionGroup>(loop_, handlers_, options_.connection);
    addresses_ = addresses_to_listen_on(where, options_.listen);
    acceptors_ = make_acceptors(loop_, nullptr);
    addresses_ = acceptors_->addresses();
  }

  void start();
  void stop();
  void stop_gracefully(Duration limit, Task done);
  void stop_accepting();

  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] const std::vector<Address>& addresses() const { return addresses_; }
  [[nodiscard]] std::size_t admitted() const { return admitted_.load(std::memory_order_relaxed); }
  [[nodiscard]] TcpServerStats stats() const;
  [[nodiscard]] std::vector<TcpServerThread> threads() const;

 private:
  // Accepted when there was no room any more: it waits as if it were still in the backlog.
  struct Newcomer {
    platform::Descriptor socket;
    Address peer;
  };

  // One loop of the server's. The first members live in its own thread.
  struct Shard {
    std::shared_ptr<ConnectionGroup> group;
    std::unique_ptr<AcceptorGroup> acceptors;  // with Balance::kKernel
    std::optional<Newcomer> waiting;           // likewise: others fill the server while it accepts
    std::atomic<std::size_t> load{0};          // connections that are open, or on their way to it
    std::unique_ptr<LoopThread> thread;        // ends before the others do
  };

  std::unique_ptr<AcceptorGroup> make_acceptors(EventLoop& loop, Shard* shard);
  void start_shard();
  void stop_shard(Shard& shard);
  static void run_in(Shard& shard, const MoveFunction<void(EventLoop&)>& task);
  [[nodiscard]] bool each_shard_listens() const {
    return options_.balance == Balance::kKernel && options_.threads > 0;
  }
  void listen();
  void accepted(Shard* shard, AcceptorGroup& acceptors, platform::Descriptor&& socket,
                Address&& peer);
  void open(Shard* shard, platform::Descriptor&& socket, Address&& peer);
  template <class Becomes>
  void gone_unless(Shard* shard, Becomes becomes);
  [[nodiscard]] bool admit(AcceptorGroup& acceptors);
  void let_in(Shard& shard);
  [[nodiscard]] Shard* choose_shard();
  void hand_over(Newcomer newcomer);
  void gone(Shard* shard);
  void make_room();
  void finish_gracefully();

  EventLoop& loop_;
  LoopHandle handle_;
  TcpServerOptions options_;
  std::shared_ptr<const ConnectionHandlers> handlers_;
  std::vector<Address> addresses_;
  std::shared_ptr<ConnectionGroup> base_group_;
  std::unique_ptr<AcceptorGroup> acceptors_;  // bound, and listening unless each shard does
  std::vector<std::unique_ptr<Shard>> shards_;
  std::size_t next_shard_ = 0;
  bool started_ = false;
  bool stopping_ = false;
  std::atomic<std::size_t> admitted_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<bool> ending_{false};  // gracefully
  Task when_ended_;
  TcpServerStats past_;  // of acceptors and groups that are gone
};

std::unique_ptr<AcceptorGroup> TcpServer::Core::make_acceptors(EventLoop& loop, Shard* shard) {
  // The acceptors are ours and end before us, but for the handler in which they end: see `keep`.
  auto holder = std::make_shared<AcceptorGroup*>(nullptr);
  auto acceptors = std::make_unique<AcceptorGroup>(
      loop, addresses_, options_.listen,
      [this, shard, holder](platform::Descriptor&& socket, Address&& peer) {
        const auto keep = shared_from_this();
        accepted(shard, **holder, std::move(socket), std::move(peer));
      });
  *holder = acceptors.get();
  // Inherited by what is accepted, which saves the calls on each.
  for (const auto& acceptor : acceptors->acceptors()) {
    apply_socket_options(acceptor->fd(), acceptor->address(), options_.connection);
  }
  return acceptors;
}

void TcpServer::Core::start() {
  if (started_) return;
  if (stopping_) {
    throw std::system_error(std::make_error_code(std::errc::operation_in_progress),
                            "starting " + addresses_.front().to_string() + " while it stops");
  }
  try {
    if (acceptors_ == nullptr) acceptors_ = make_acceptors(loop_, nullptr);
    base_group_->set_on_closed([this] { gone(nullptr); });
    started_ = true;
    for (unsigned i = 0; i < options_.threads; ++i) start_shard();
    listen();
  } catch (...) {
    stop();
    throw;
  }
}

void TcpServer::Core::start_shard() {
  EventLoopOptions loop_options;
  if (options_.thread_options) {
    loop_options = options_.thread_options(static_cast<unsigned>(shards_.size()));
  }
  if (loop_options.poller.names.empty()) loop_options.poller = std::string(loop_.poller_name());
  if (!loop_options.on_exception) {  // nobody stands around a thread's run()
    loop_options.on_exception = [handle = handle_,
                                 loop = &loop_](const std::exception_ptr& exception) {
      handle.post([loop, exception] { loop->report_exception(exception); });
    };
  }
  auto shard = std::make_unique<Shard>();
  shard->thread = std::make_unique<LoopThread>(std::move(loop_options), [&](EventLoop& loop) {
    shard->group = std::make_shared<ConnectionGroup>(loop, handlers_, options_.connection);
    shard->group->set_on_closed([this, shard = shard.get()] { gone(shard); });
    if (options_.on_thread_start) options_.on_thread_start(loop);
  });
  shards_.push_back(std::move(shard));
}

void TcpServer::Core::listen() {
  if (!each_shard_listens()) return acceptors_->listen();
  for (const auto& shard : shards_) {
    shard->thread->run_and_wait([&](EventLoop& loop) {
      shard->acceptors = make_acceptors(loop, shard.get());
      shard->acceptors->listen();
    });
  }
}

// In the acceptor's thread.
void TcpServer::Core::accepted(Shard* shard, AcceptorGroup& acceptors,
                               platform::Descriptor&& socket, Address&& peer) {
  if (!admit(acceptors)) {
    if (shard != nullptr && options_.when_full == WhenFull::kWait) {
      shard->waiting = Newcomer{std::move(socket), std::move(peer)};
    } else {
      ++refused_;  // and closed
    }
  } else if (shard == nullptr && !shards_.empty()) {
    hand_over({std::move(socket), std::move(peer)});
  } else {
    if (shard != nullptr) ++shard->load;
    open(shard, std::move(socket), std::move(peer));
  }
}

// In the thread of its loop.
void TcpServer::Core::open(Shard* shard, platform::Descriptor&& socket, Address&& peer) {
  ConnectionGroup& group = shard != nullptr ? *shard->group : *base_group_;
  gone_unless(shard, [&] { return !group.open(std::move(socket), std::move(peer)); });
}

// Who was admitted has gone again when `becomes()` says, by false or by throwing, that it does not
// become a connection.
template <class Becomes>
void TcpServer::Core::gone_unless(Shard* shard, Becomes becomes) {
  bool does = false;
  try {
    does = becomes();
  } catch (...) {
    gone(shard);
    throw;
  }
  if (!does) gone(shard);
}

bool TcpServer::Core::admit(AcceptorGroup& acceptors) {
  std::size_t before = admitted_.load();
  while (before < options_.max_connections &&
         !admitted_.compare_exchange_weak(before, before + 1)) {
  }
  // Whoever goes meanwhile posts its make_room() behind this.
  const bool full = before + 1 >= options_.max_connections;
  if (full && options_.when_full == WhenFull::kWait) acceptors.pause();
  return before < options_.max_connections;
}

// Of those whose loops are there; null when handlers have stopped them all.
TcpServer::Core::Shard* TcpServer::Core::choose_shard() {
  Shard* chosen = nullptr;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    next_shard_ = (next_shard_ + 1) % shards_.size();
    Shard* const shard = shards_[next_shard_].get();
    if (!shard->thread->handle().alive()) continue;
    if (options_.balance != Balance::kLeastConnections) return shard;
    if (chosen == nullptr || shard->load.load() < chosen->load.load()) chosen = shard;
  }
  return chosen;
}

void TcpServer::Core::hand_over(Newcomer newcomer) {
  Shard* const shard = choose_shard();
  if (shard == nullptr) {
    ++refused_;  // and closed
    return gone(nullptr);
  }
  ++shard->load;
  gone_unless(shard, [&] {
    // The shard outlives its thread's tasks: the thread ends first.
    return shard->thread->handle().post(
        [core = weak_from_this(), shard, newcomer = std::move(newcomer)]() mutable {
          const auto keep = core.lock();
          if (keep == nullptr) return;
          keep->open(shard, std::move(newcomer.socket), std::move(newcomer.peer));
        });
  });
}

// In the thread of the loop that the connection was in.
void TcpServer::Core::gone(Shard* shard) {
  if (shard != nullptr) --shard->load;
  const std::size_t before = admitted_.fetch_sub(1);
  if (before == options_.max_connections && options_.when_full == WhenFull::kWait) {
    handle_.post([core = weak_from_this()] {
      if (const auto keep = core.lock()) keep->make_room();
    });
  }
  if (before == 1 && ending_.load()) {
    handle_.post([core = weak_from_this()] {
      if (const auto keep = core.lock()) keep->finish_gracefully();
    });
  }
}

void TcpServer::Core::make_room() {
  if (acceptors_ != nullptr) acceptors_->resume();
  for (const auto& shard : shards_) {
    shard->thread->handle().post([core = weak_from_this(), shard = shard.get()] {
      if (const auto keep = core.lock()) keep->let_in(*shard);
    });
  }
}

// In the shard's thread.
void TcpServer::Core::let_in(Shard& shard) {
  if (shard.acceptors == nullptr) return;
  shard.acceptors->resume();
  if (!shard.waiting.has_value()) return;
  Newcomer first = std::move(*shard.waiting);
  shard.waiting.reset();
  accepted(&shard, *shard.acceptors, std::move(first.socket), std::move(first.peer));
}

void TcpServer::Core::stop_accepting() {
  if (acceptors_ != nullptr) add(*acceptors_, past_);
  acceptors_.reset();
  for (const auto& shard : shards_) {
    run_in(*shard, [&](EventLoop&) {
      if (shard->acceptors != nullptr) add(*shard->acceptors, past_);
      shard->acceptors.reset();
      shard->waiting.reset();
    });
  }
}

void TcpServer::Core::stop() {
  if (std::exchange(stopping_, true)) return;  // a handler of a connection that ends below
  const auto keep = shared_from_this();
  started_ = false;
  ending_ = false;
  when_ended_ = {};
  stop_accepting();
  base_group_->close_all({});
  base_group_->set_on_closed({});
  for (const auto& shard : std::exchange(shards_, {})) stop_shard(*shard);
  stopping_ = false;
}

void TcpServer::Core::stop_shard(Shard& shard) {
  // What was handed over before is open by the time that this runs.
  run_in(shard, [&](EventLoop&) { shard.group->close_all({}); });
  shard.thread.reset();
  add(*shard.group, past_);
}

// In the shard's thread; unless a handler has stopped the loop there, which ended what lived in it.
void TcpServer::Core::run_in(Shard& shard, const MoveFunction<void(EventLoop&)>& task) {
  try {
    shard.thread->run_and_wait(task);
  } catch (const std::system_error& error) {
    if (error.code() != Error::kLoopGone) throw;
  }
}

void TcpServer::Core::stop_gracefully(Duration limit, Task done) {
  when_ended_ = std::move(done);
  ending_ = true;
  stop_accepting();
  base_group_->shutdown_all(limit);
  for (const auto& shard : shards_) {
    shard->thread->handle().post([group = shard->group, limit] { group->shutdown_all(limit); });
  }
  if (admitted_.load() > 0) return;
  handle_.post([core = weak_from_this()] {
    if (const auto keep = core.lock()) keep->finish_gracefully();
  });
}

void TcpServer::Core::finish_gracefully() {
  if (!ending_ || admitted_.load() > 0) return;
  const Task done = std::move(when_ended_);
  stop();
  if (done) done();
}

TcpServerStats TcpServer::Core::stats() const {
  TcpServerStats all = past_;
  if (acceptors_ != nullptr) add(*acceptors_, all);
  add(*base_group_, all);
  for (const auto& shard : shards_) {
    if (shard->acceptors != nullptr) add(*shard->acceptors, all);
    add(*shard->group, all);
  }
  all.refused = refused_.load();
  all.open = admitted();
  return all;
}

std::vector<TcpServerThread> TcpServer::Core::threads() const {
  std::vector<TcpServerThread> all;
  const auto ask = [&all](const EventLoop& loop, const ConnectionGroup& group) {
    all.push_back({.poller = std::string(loop.poller_name()),
                   .loop = loop.stats(),
                   .open = group.open_count(),
                   .buffer_memory = group.buffer_memory()});
  };
  if (shards_.empty()) ask(loop_, *base_group_);
  for (const auto& shard : shards_) {
    run_in(*shard, [&](EventLoop& loop) { ask(loop, *shard->group); });
  }
  return all;
}

TcpServer::TcpServer(EventLoop& loop, const HostPort& where, ConnectionHandlers handlers,
                     TcpServerOptions options)
    : core_(std::make_shared<Core>(loop, where, std::move(handlers), std::move(options))) {
  loop.assert_in_loop_thread();
}

TcpServer::~TcpServer() { stop(); }

void TcpServer::start() { core_->start(); }
void TcpServer::stop() { core_->stop(); }
void TcpServer::stop_listening() { core_->stop_accepting(); }
void TcpServer::stop_gracefully(Duration limit, Task done) {
  core_->stop_gracefully(limit, std::move(done));
}
bool TcpServer::started() const { return core_->started(); }
const std::vector<Address>& TcpServer::addresses() const { return core_->addresses(); }
std::size_t TcpServer::connection_count() const { return core_->admitted(); }
TcpServerStats TcpServer::stats() const { return core_->stats(); }
std::vector<TcpServerThread> TcpServer::threads() const { return core_->threads(); }

}  // namespace pollard
