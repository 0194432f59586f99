#include "pollard/net/requests/request_server.h"

#include <utility>

#include "pollard/base/assert.h"
#include "pollard/net/requests/internal/request_group.h"
#include "pollard/net/tcp/tcp_server.h"

namespace pollard {

// Shared, so that what other threads tell it may come late: they hold it weakly.
class RequestServer::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, const HostPort& where, RequestHandlers handlers,
       RequestServerOptions options, TcpServerOptions server_options)
      : handle_(loop.handle()),
        group_(std::make_shared<RequestGroup>(std::move(handlers), std::move(options),
                                              server_options.connection.output_limit)),
        server_(loop, where, group_->connection_handlers(), std::move(server_options)) {}

  void start();
  void stop();
  void stop_gracefully(Duration limit, Task done);

  [[nodiscard]] const TcpServer& server() const { return server_; }
  [[nodiscard]] std::size_t open_count() const { return group_->open_count(); }
  [[nodiscard]] RequestServerStats stats() const;

 private:
  void finish_gracefully();

  LoopHandle handle_;
  std::shared_ptr<RequestGroup> group_;
  TcpServer server_;
  bool stopping_ = false;
  bool ending_ = false;  // gracefully
  Task when_ended_;
};

void RequestServer::Core::start() {
  if (server_.started() || stopping_) return server_.start();
  group_->start_workers();
  try {
    server_.start();
  } catch (...) {
    stop();
    throw;
  }
}

void RequestServer::Core::stop() {
  POLLARD_ASSERT(handle_.in_loop_thread(),
                 "a request server is stopped in its loop's thread; post() it there");
  if (std::exchange(stopping_, true)) return;
  const auto keep = shared_from_this();
  ending_ = false;
  when_ended_ = {};
  server_.stop();
  group_->stop_workers();
  stopping_ = false;
}

void RequestServer::Core::stop_gracefully(Duration limit, Task done) {
  when_ended_ = std::move(done);
  ending_ = true;
  server_.stop_listening();
  auto notice = std::make_shared<Notice>([core = weak_from_this()] {
    if (const auto keep = core.lock()) keep->finish_gracefully();
  });
  group_->finish_all(limit, [handle = handle_, notice] { handle.post(notice); });
}

void RequestServer::Core::finish_gracefully() {
  if (!ending_ || group_->open_count() > 0) return;
  const Task done = std::move(when_ended_);
  stop();
  if (done) done();
}

RequestServerStats RequestServer::Core::stats() const {
  RequestServerStats stats;
  group_->count_into(stats);
  stats.server = server_.stats();
  return stats;
}

namespace {

TcpServerOptions take_server_options(RequestServerOptions& options) {
  return std::move(options.server);
}

}  // namespace

RequestServer::RequestServer(EventLoop& loop, const HostPort& where, RequestHandlers handlers,
                             RequestServerOptions options) {
  TcpServerOptions server_options = take_server_options(options);
  core_ = std::make_shared<Core>(loop, where, std::move(handlers), std::move(options),
                                 std::move(server_options));
}

RequestServer::~RequestServer() { stop(); }

void RequestServer::start() { core_->start(); }
void RequestServer::stop() { core_->stop(); }
void RequestServer::stop_gracefully(Duration limit, Task done) {
  core_->stop_gracefully(limit, std::move(done));
}
bool RequestServer::started() const { return core_->server().started(); }
const std::vector<Address>& RequestServer::addresses() const { return core_->server().addresses(); }
std::size_t RequestServer::connection_count() const { return core_->open_count(); }
RequestServerStats RequestServer::stats() const { return core_->stats(); }

}  // namespace pollard
