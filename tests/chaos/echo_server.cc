#include <algorithm>
#include <chrono>
#include <utility>

#include "pollard/tests/chaos/actors.h"
#include "pollard/tests/chaos/stream.h"

namespace pollard::chaos {

using namespace std::chrono_literals;

// ---- The end of one connection ----

bool EchoEnd::recognise(std::string_view input) {
  if (stream_.has_value()) return true;
  if (input.size() < kHeaderBytes) return false;
  stream_ = stream_at(input);
  side().receive_stream(*stream_);
  Side* const client = meetings_.find(*stream_);
  run().ledger.require(client != nullptr, side().name() + ": hears a stream that nobody sends");
  if (client == nullptr) return true;
  side().meet(*client);
  client->meet(side());
  return true;
}

void EchoEnd::use(const TcpConnectionPtr& connection, Buffer& input, std::size_t count) {
  const bool may_be_late = run().plan.server_hears_peer_end;
  if (owed_ == 0 && !(may_be_late && run().dice.one_in(5))) return echo(connection, input, count);
  input.consume(count);
  owed_ += count;
  if (late_.active()) return;
  late_ = run().loop.after(std::chrono::microseconds(run().dice.up_to(2000)),
                           [weak = weak_from_this()] {
                             if (const auto self = weak.lock()) {
                               static_cast<EchoEnd&>(*self).finish_late_echo();
                             }
                           });
}

void EchoEnd::echo(const TcpConnectionPtr& connection, Buffer& input, std::size_t count) {
  if (count == input.size() && !run().dice.one_in(3)) {
    side().sent(count, connection->send(input));
  } else {
    side().sent(count, connection->send(input.take(count)));
  }
}

void EchoEnd::finish_late_echo() {
  const TcpConnectionPtr connection = side().connection();
  if (connection == nullptr || side().ended()) return;
  send_part(connection, *stream_, std::exchange(owed_, 0));
  if (peer_has_ended_) shut_down(connection);
}

void EchoEnd::peer_ended(const TcpConnectionPtr& connection) {
  peer_has_ended_ = true;
  if (owed_ == 0) shut_down(connection);
}

void EchoEnd::ended() { late_.cancel(); }

void EchoEnd::destroy_owner() { server_.restart(); }

// ---- The server ----

EchoServer::EchoServer(Run& run, Meetings& meetings, const Address& address)
    : run_(run), meetings_(meetings), server_(run.loop, address, handlers(), [&run] {
        TcpServerOptions options;
        options.max_connections = run.plan.server.max_connections;
        options.when_full = run.plan.server.when_full;
        options.listen = run.plan.server.listen;
        options.connection = run.plan.connection;
        return options;
      }()) {}

EchoEnd& EchoServer::end_of(const TcpConnectionPtr& connection) {
  return *std::any_cast<const std::shared_ptr<EchoEnd>&>(connection->context());
}

ConnectionHandlers EchoServer::handlers() {
  ConnectionHandlers handlers{
      .on_connect =
          [this](const TcpConnectionPtr& connection) {
            ends_.push_back(std::make_shared<EchoEnd>(
                run_, "server's " + std::to_string(ends_.size() + 1), *this, meetings_));
            connection->context() = ends_.back();
            ends_.back()->on_connect(connection);
          },
      .on_message = [](const TcpConnectionPtr& connection,
                       Buffer& input) { end_of(connection).on_message(connection, input); },
      .on_disconnect =
          [](const TcpConnectionPtr& connection, const DisconnectReason& reason) {
            end_of(connection).on_disconnect(connection, reason);
          },
      .on_write_complete =
          [](const TcpConnectionPtr& connection) {
            end_of(connection).on_write_complete(connection);
          },
      .on_high_water = [](const TcpConnectionPtr& it) { end_of(it).on_high_water(it); },
      .on_low_water = [](const TcpConnectionPtr& it) { end_of(it).on_low_water(it); },
  };
  if (run_.plan.server_hears_peer_end) {
    handlers.on_peer_end = [](const TcpConnectionPtr& it) { end_of(it).on_peer_end(it); };
  }
  return handlers;
}

// Listening needs memory and descriptors, and may have to wait for them.
void EchoServer::start() {
  try {
    server_.start();
  } catch (const std::system_error& error) {
    run_.ledger.note(std::string("server: ") + error.what());
    run_.ledger.require(!run_.plan.calm, std::string("the server can't start: ") + error.what());
    again_ = run_.loop.after(1ms, [this] { start(); });
  }
}

void EchoServer::stop_now() {
  for (const auto& end : ends_) {
    if (end->side().connected() && !end->side().ended()) end->side().forced("is stopped");
  }
  again_.cancel();
  server_.stop();
  for (const auto& end : ends_) end->side().gone();
}

void EchoServer::restart() {
  if (finishing_) return;
  run_.ledger.note("the server is restarted");
  stop_now();
  start();
}

void EchoServer::finish() {
  finishing_ = true;
  if (!run_.plan.end_gracefully) {
    stop_now();
    done_ = true;
    return;
  }
  again_.cancel();
  for (const auto& end : ends_) {
    if (!end->side().connected() || end->side().ended()) continue;
    end->side().shut();
    end->side().limited();
  }
  server_.stop_gracefully(5s, [this] {
    run_.ledger.require(!done_, "a graceful stop ends twice");
    run_.ledger.require(server_.connection_count() == 0,
                        "a graceful stop ends while connections are open");
    done_ = true;
  });
}

void EchoServer::check_stats() {
  const TcpServerStats stats = server_.stats();
  std::uint64_t closed = 0;
  for (const std::uint64_t count : stats.closed) closed += count;
  Ledger& ledger = run_.ledger;
  ledger.require(stats.open == 0, "the server counts open connections at the end");
  ledger.require(closed == ends_.size(), "the server counts other ends than its handlers saw");
  ledger.require(stats.accepted == closed + stats.refused + stats.failed,
                 "what the server accepted isn't what it closed, refused and failed to watch");
}

}  // namespace pollard::chaos
