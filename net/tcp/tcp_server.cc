#include "pollard/net/tcp/tcp_server.h"

#include <string>
#include <system_error>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/net/tcp/internal/server_run.h"

namespace pollard {

// What a server is at:
//
//                 start()               stop_gracefully()
//      kStopped ──────────▶ kStarting ──▶ kServing ──▶ kDraining
//       ▲    │                  │            │            │
//       │    │ (bound)          │ (failed)   │ stop()     │ (all have gone), stop()
//       │    ▼                  ▼            ▼            ▼
//       └──────────────────────────── kStopping
//
// Handlers run while it stops. They may stop it again, and then start it, or destroy it.
//
// Shared, so that what is posted to the loop may come late: it is held weakly there.
class TcpServer::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, const HostPort& where, ConnectionHandlers handlers,
       TcpServerOptions options)
      : shared_setup_(new ServerSetup{.loop = loop,
                                      .handle = loop.handle(),
                                      .options = std::move(options),
                                      .handlers = share_handlers(std::move(handlers))}) {
    setup_.options.listen.reuse_port_balanced |= setup_.threads_listen();
    run_ = std::make_shared<ServerRun>(shared_setup_,
                                       addresses_to_listen_on(where, setup_.options.listen));
    addresses_ = run_->addresses();
  }

  void start();
  void stop();
  void stop_listening();
  void stop_gracefully(Duration limit, Task done);
  void for_each_connection(std::shared_ptr<const Visitor> visit);

  [[nodiscard]] bool started() const {
    return state_ != State::kStopped && state_ != State::kStopping;
  }
  [[nodiscard]] const std::vector<Address>& addresses() const { return addresses_; }
  [[nodiscard]] const ServerCounts& counts() const { return setup_.counts; }
  [[nodiscard]] std::vector<TcpServerThread> threads() const;

 private:
  enum class State : std::uint8_t { kStopped, kStarting, kServing, kDraining, kStopping };

  void enter(State next);
  void assert_in_loop_thread() const;
  void end_run();
  void finish_gracefully();

  std::shared_ptr<ServerSetup> shared_setup_;
  ServerSetup& setup_ = *shared_setup_;
  std::vector<Address> addresses_;  // where it is bound for the first time, and again
  State state_ = State::kStopped;
  std::shared_ptr<ServerRun> run_;  // from binding to the end of stop()
  Task when_ended_;                 // what stop_gracefully() was given
};

void TcpServer::Core::enter(State next) {
  const auto allowed = [&] {
    switch (next) {
      case State::kStopped: return state_ == State::kStopping;
      case State::kStarting: return state_ == State::kStopped;
      case State::kServing: return state_ == State::kStarting;
      case State::kDraining: return state_ == State::kServing;
      case State::kStopping: return state_ != State::kStopping;
    }
    return false;
  };
  POLLARD_ASSERT(allowed(), "the states of a server must follow their diagram");
  state_ = next;
}

// A server may outlive its loop, and then has no thread.
void TcpServer::Core::assert_in_loop_thread() const {
  POLLARD_ASSERT(setup_.handle.in_loop_thread() || !setup_.handle.alive(),
                 "a server must be used in its loop's thread; post() a task to it");
}

void TcpServer::Core::start() {
  assert_in_loop_thread();
  POLLARD_ASSERT(state_ != State::kStarting, "thread_options must not start the server");
  if (started()) return;
  if (state_ == State::kStopping) {
    throw std::system_error(std::make_error_code(std::errc::operation_in_progress),
                            "starting " + addresses_.front().to_string() + " while it stops");
  }
  enter(State::kStarting);
  try {
    if (run_ == nullptr) run_ = std::make_shared<ServerRun>(shared_setup_, addresses_);
    run_->start();
  } catch (...) {
    end_run();
    throw;
  }
  enter(State::kServing);
}

void TcpServer::Core::stop() {
  assert_in_loop_thread();
  POLLARD_ASSERT(state_ != State::kStarting, "thread_options must not stop the server");
  when_ended_ = {};
  end_run();
}

void TcpServer::Core::end_run() {
  const auto keep = shared_from_this();
  const std::shared_ptr<ServerRun> run = run_;
  if (state_ == State::kStopped && run == nullptr) return;
  if (state_ != State::kStopping) enter(State::kStopping);
  if (run != nullptr) run->stop();
  // A handler that ran in there may have done the rest, and may have started the next run.
  if (state_ != State::kStopping || run_ != run) return;
  run_.reset();
  setup_.counts.set_admissions(nullptr);
  enter(State::kStopped);
}

void TcpServer::Core::stop_listening() {
  assert_in_loop_thread();
  if (run_ != nullptr) run_->stop_accepting();
}

void TcpServer::Core::stop_gracefully(Duration limit, Task done) {
  assert_in_loop_thread();
  POLLARD_ASSERT(state_ != State::kStarting, "thread_options must not stop the server");
  if (started()) {
    if (state_ == State::kServing) enter(State::kDraining);
    when_ended_ = std::move(done);
    run_->drain(limit, [core = weak_from_this()] {
      if (const auto keep = core.lock()) keep->finish_gracefully();
    });
    return;
  }
  if (state_ == State::kStopped) end_run();  // closes the sockets that are bound
  setup_.handle.post([core = weak_from_this(), done = std::move(done)] {
    if (const auto keep = core.lock(); keep != nullptr && done) done();
  });
}

// The run that was draining calls it, so it can't come for a later one.
void TcpServer::Core::finish_gracefully() {
  const Task done = std::move(when_ended_);
  end_run();
  if (done) done();
}

void TcpServer::Core::for_each_connection(std::shared_ptr<const Visitor> visit) {
  if (setup_.handle.in_loop_thread()) {
    if (started()) run_->for_each_connection(visit);
    return;
  }
  setup_.handle.post([core = weak_from_this(), visit = std::move(visit)]() mutable {
    if (const auto keep = core.lock()) keep->for_each_connection(std::move(visit));
  });
}

std::vector<TcpServerThread> TcpServer::Core::threads() const {
  assert_in_loop_thread();
  if (run_ != nullptr) return run_->threads();
  return {{.poller = std::string(setup_.loop.poller_name()), .loop = setup_.loop.stats()}};
}

TcpServer::TcpServer(EventLoop& loop, const HostPort& where, ConnectionHandlers handlers,
                     TcpServerOptions options)
    : core_(std::make_shared<Core>(loop, where, std::move(handlers), std::move(options))) {
  loop.assert_in_loop_thread();
}

TcpServer::~TcpServer() { core_->stop(); }

void TcpServer::start() { core_->start(); }
void TcpServer::stop() { core_->stop(); }
void TcpServer::stop_listening() { core_->stop_listening(); }
void TcpServer::stop_gracefully(Duration limit, Task done) {
  core_->stop_gracefully(limit, std::move(done));
}
void TcpServer::for_each_connection(Visitor visit) {
  core_->for_each_connection(std::make_shared<const Visitor>(std::move(visit)));
}
bool TcpServer::started() const { return core_->started(); }
const std::vector<Address>& TcpServer::addresses() const { return core_->addresses(); }
std::size_t TcpServer::connection_count() const { return core_->counts().open(); }
TcpServerStats TcpServer::stats() const { return core_->counts().total(); }
std::vector<TcpServerThread> TcpServer::threads() const { return core_->threads(); }

}  // namespace pollard
