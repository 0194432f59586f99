#include "pollard/net/requests/internal/request_group.h"

#include <any>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/log.h"
#include "pollard/net/requests/request_connection.h"

namespace pollard {
namespace {

// Null for a newcomer that was turned away.
RequestConnectionPtr* find(const TcpConnectionPtr& tcp) {
  return std::any_cast<RequestConnectionPtr>(&tcp->context());
}

// Also when there is no memory to say more.
void log_exception(std::string_view what, const std::exception_ptr& exception) noexcept try {
  const DisconnectReason thrown{.kind = DisconnectReason::Kind::kException, .exception = exception};
  log(LogLevel::kError, std::string(what) + thrown.to_string());
} catch (...) {
  log(LogLevel::kError, "a handler of a request server threw, and there was no memory to say what");
}

}  // namespace

RequestGroup::RequestGroup(RequestHandlers handlers, RequestServerOptions options,
                           std::size_t output_limit)
    : handlers_(std::move(handlers)), options_(std::move(options)), output_limit_(output_limit) {}

ConnectionHandlers RequestGroup::connection_handlers() {
  return {
      .on_connect = [group =
                         shared_from_this()](const TcpConnectionPtr& tcp) { group->adopt(tcp); },
      .on_message =
          [](const TcpConnectionPtr& tcp, Buffer& input) {
            if (RequestConnectionPtr* connection = find(tcp)) (*connection)->received(input);
            input.clear();
          },
      .on_peer_end =
          [](const TcpConnectionPtr& tcp) {
            if (RequestConnectionPtr* connection = find(tcp)) (*connection)->peer_ended();
          },
      .on_disconnect =
          [](const TcpConnectionPtr& tcp, const DisconnectReason& reason) {
            if (RequestConnectionPtr* found = find(tcp)) {
              const RequestConnectionPtr connection = std::move(*found);
              tcp->context().reset();  // they had each other
              connection->gone(reason);
            }
          },
      .on_write_complete =
          [](const TcpConnectionPtr& tcp) {
            if (RequestConnectionPtr* connection = find(tcp)) (*connection)->output_left();
          },
      .owes_output =
          [](const TcpConnectionPtr& tcp) {
            const RequestConnectionPtr* connection = find(tcp);
            return connection != nullptr && (*connection)->owes_output();
          },
  };
}

void RequestGroup::start_workers() {
  finishing_ = false;
  WorkerPoolOptions options{.workers = options_.workers.workers,
                            .queue_limit = options_.workers.queue_limit};
  // The handlers' own functions serve every start.
  options.on_thread_start = [group = this] {
    if (group->options_.workers.on_thread_start) group->options_.workers.on_thread_start();
  };
  if (options_.workers.on_exception) {
    options.on_exception = [group = this](std::exception_ptr exception) {
      group->options_.workers.on_exception(std::move(exception));
    };
  }
  pool_ = std::make_unique<WorkerPool>(std::move(options));
}

void RequestGroup::stop_workers() {
  if (pool_ != nullptr) pool_->stop();
  pool_.reset();
  const std::lock_guard lock(mutex_);
  on_empty_ = {};
}

void RequestGroup::adopt(const TcpConnectionPtr& tcp) {
  const auto connection =
      std::make_shared<RequestConnection>(RequestConnection::Key{}, shared_from_this(), tcp);
  tcp->context() = connection;
  if (admit(*connection)) return;
  tcp->context().reset();
  tcp->force_close();
}

bool RequestGroup::admit(RequestConnection& connection) {
  {
    const std::lock_guard lock(mutex_);
    if (finishing_) return false;
  }
  // Without the mutex: no other thread knows it yet.
  connection.enter(RequestConnection::Work::kQueued);
  try {
    insert(connection);
  } catch (const std::bad_alloc&) {  // it is closed, as when the queue is full
    return false;
  }
  try {
    if (hand_to_workers(connection)) return true;
    turned_away_.fetch_add(1, std::memory_order_relaxed);
  } catch (const std::bad_alloc&) {
  }
  remove(connection);
  return false;
}

bool RequestGroup::hand_to_workers(RequestConnection& connection) {
  if (options_.when_full == WhenWorkersFull::kWait) {
    connection.queue();
    return true;
  }
  const auto run = [self = connection.shared_from_this()] { self->run(); };
  connection.step(RequestStep::kQueued);
  return pool_->try_submit(run) != SubmitResult::kRefused;
}

void RequestGroup::insert(RequestConnection& connection) {
  const std::lock_guard lock(mutex_);
  connection.place_in_group_ = open_.size();
  open_.push_back(&connection);
}

void RequestGroup::remove(RequestConnection& connection) {
  Task on_empty;
  {
    const std::lock_guard lock(mutex_);
    const std::size_t place = connection.place_in_group_;
    open_[place] = open_.back();
    open_[place]->place_in_group_ = place;
    open_.pop_back();
    if (open_.empty()) on_empty = std::exchange(on_empty_, {});
  }
  if (on_empty) on_empty();
}

void RequestGroup::finish_all(Duration limit, Task on_empty) {
  std::vector<RequestConnectionPtr> all;
  {
    const std::lock_guard lock(mutex_);
    all.reserve(open_.size());  // before anything has happened
    finishing_ = true;
    for (RequestConnection* connection : open_) {
      // One that ends in this moment needs no help.
      if (auto alive = connection->weak_from_this().lock()) all.push_back(std::move(alive));
    }
    if (!open_.empty()) on_empty_ = std::exchange(on_empty, {});
  }
  for (const RequestConnectionPtr& connection : all) {
    try {
      connection->finish(limit);
    } catch (const std::bad_alloc&) {  // of this one: the others end in good order
      connection->fail_by_exception();
    }
  }
  if (on_empty) on_empty();
}

std::size_t RequestGroup::open_count() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

void RequestGroup::count_into(RequestServerStats& stats) const {
  stats.requests = requests_.load(std::memory_order_relaxed);
  stats.exceptions = exceptions_.load(std::memory_order_relaxed);
  stats.rejected_queue_full = turned_away_.load(std::memory_order_relaxed);
  stats.read_pauses = reading_stops_.load(std::memory_order_relaxed);
  stats.open = open_count();
  if (pool_ != nullptr) stats.workers = pool_->stats();
}

void RequestGroup::report(RequestConnection& connection,
                          const std::exception_ptr& exception) noexcept {
  exceptions_.fetch_add(1, std::memory_order_relaxed);
  try {
    if (handlers_.on_error) return handlers_.on_error(connection, exception);
    log_exception("a handler of a request server threw: ", exception);
  } catch (...) {
    log_exception("a request server's on_error threw, when told of: ", exception);
  }
}

}  // namespace pollard
