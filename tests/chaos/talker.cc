#include <algorithm>
#include <chrono>
#include <utility>

#include "pollard/tests/chaos/actors.h"
#include "pollard/tests/chaos/stream.h"

namespace pollard::chaos {

using namespace std::chrono_literals;

// ---- The end of one connection ----

TalkerEnd::TalkerEnd(Run& run, std::string name, Talker& talker, Meetings& meetings)
    : End(run, std::move(name)),
      talker_(talker),
      stream_(meetings.add(side())),
      total_(kHeaderBytes + run.dice.up_to(run.plan.stream_bytes)),
      waits_for_echo_(run.dice.one_in(2)) {
  side().receive_stream(stream_);
}

void TalkerEnd::began(const TcpConnectionPtr& connection) { say_more(connection); }

void TalkerEnd::say_more(const TcpConnectionPtr& connection) {
  if (side().is_shut() || side().ended()) return;
  std::uint64_t parts = 1 + run().dice.up_to(2);
  for (; parts > 0 && side().sent_bytes() < total_; --parts) {
    const std::uint64_t left = total_ - side().sent_bytes();
    const std::uint64_t before = side().sent_bytes();
    send_part(connection, stream_,
              static_cast<std::size_t>(
                  std::min<std::uint64_t>(left, 1 + run().dice.up_to(run().plan.message_bytes))));
    if (side().sent_bytes() == before) return;  // refused
  }
  if (side().sent_bytes() == total_ && !waits_for_echo_) shut_down(connection);
}

void TalkerEnd::use(const TcpConnectionPtr& connection, Buffer& input, std::size_t count) {
  input.consume(count);
  if (side().received_bytes() == total_) {
    shut_down(connection);
  } else if (run().dice.one_in(4)) {
    say_more(connection);
  }
}

void TalkerEnd::peer_ended(const TcpConnectionPtr& connection) { shut_down(connection); }

void TalkerEnd::destroy_owner() { talker_.destroy(); }

// ---- The client ----

namespace {

TcpClientOptions client_options(Run& run, bool reconnect) {
  TcpClientOptions options{.reconnect = reconnect};
  options.backoff_reset_after = 10ms;
  options.connection = run.plan.connection;
  // Two ends that both stop reading while their output is full would wait for each other.
  options.connection.pause_reading_when_full = false;
  options.connector.seed = run.dice.up_to(UINT64_MAX);
  options.connector.backoff = {.initial = 1ms, .maximum = 50ms};
  if (!run.plan.calm && run.dice.one_in(3)) {
    options.connector.max_attempts = 1 + static_cast<unsigned>(run.dice.up_to(3));
    options.connector.connect_timeout = std::chrono::milliseconds(1 + run.dice.up_to(50));
  }
  return options;
}

}  // namespace

Talker::Talker(Run& run, Meetings& meetings, const Address& server, unsigned number)
    : run_(run),
      meetings_(meetings),
      name_("client " + std::to_string(number)),
      lives_left_(run.plan.lives),
      client_(std::make_unique<TcpClient>(run.loop, server, handlers(),
                                          client_options(run, run.dice.one_in(2)))) {}

Talker::~Talker() { destroy(); }

ConnectionHandlers Talker::handlers() {
  const auto end_of = [](const TcpConnectionPtr& connection) -> TalkerEnd& {
    return *std::any_cast<const std::shared_ptr<TalkerEnd>&>(connection->context());
  };
  ConnectionHandlers handlers{
      .on_connect =
          [this](const TcpConnectionPtr& connection) {
            attempts_ = 0;
            const std::string name = name_ + '.' + std::to_string(ends_.size() + 1);
            const auto end = std::make_shared<TalkerEnd>(run_, name, *this, meetings_);
            ends_.push_back(end);
            connection->context() = end;
            end->on_connect(connection);
          },
      .on_message = [end_of](const TcpConnectionPtr& connection,
                             Buffer& input) { end_of(connection).on_message(connection, input); },
      .on_disconnect =
          [this, end_of](const TcpConnectionPtr& connection, const DisconnectReason& reason) {
            end_of(connection).on_disconnect(connection, reason);
            life_ended();
          },
      .on_write_complete =
          [end_of](const TcpConnectionPtr& it) { end_of(it).on_write_complete(it); },
      .on_high_water = [end_of](const TcpConnectionPtr& it) { end_of(it).on_high_water(it); },
      .on_low_water = [end_of](const TcpConnectionPtr& it) { end_of(it).on_low_water(it); },
      .on_attempt_failed = [this](const FailedAttempt& failure) { attempt_failed(failure); },
      .on_give_up =
          [this](std::error_code) {
            run_.ledger.note(name_ + " gives up");
            run_.ledger.require(!promised_another_, name_ + ": gives up, and promised an attempt");
            destroy_soon();
          },
  };
  if (run_.plan.client_hears_peer_end) {
    handlers.on_peer_end = [end_of](const TcpConnectionPtr& it) { end_of(it).on_peer_end(it); };
  }
  return handlers;
}

void Talker::begin() {
  if (client_ == nullptr) return;
  const std::error_code failed = client_->connect();
  run_.ledger.require(!failed, name_ + ": can't begin: " + failed.message());
  run_.ledger.require(static_cast<bool>(client_->connect()), name_ + ": began twice");
}

void Talker::attempt_failed(const FailedAttempt& failure) {
  run_.ledger.note(name_ + " attempt " + std::to_string(failure.attempt) +
                   " failed: " + failure.error.message());
  run_.ledger.require(client_ != nullptr, name_ + ": an attempt of a client that is gone");
  run_.ledger.require(static_cast<bool>(failure.error),
                      name_ + ": an attempt failed without error");
  ++attempts_;
  // A connection that couldn't be watched is the first attempt of a new count.
  if (failure.attempt == 1 && !run_.plan.calm) attempts_ = 1;
  run_.ledger.require(failure.attempt == attempts_, name_ + ": attempts are miscounted");
  promised_another_ = failure.next_delay.has_value();
  if (run_.plan.violence > 0 && run_.dice.one_in(10 * run_.plan.violence)) destroy();
}

void Talker::life_ended() {
  if (client_ == nullptr) return;
  if (--lives_left_ == 0) {
    client_->disconnect();
    return destroy_soon();
  }
  // With reconnect it is on its way by itself.
  again_ = run_.loop.after(std::chrono::microseconds(run_.dice.up_to(2000)), [this] {
    if (client_ != nullptr && client_->state() == TcpClient::State::kIdle) begin();
  });
}

void Talker::destroy_soon() {
  again_ = run_.loop.after(Duration::zero(), [this] { destroy(); });
}

void Talker::destroy() {
  if (client_ == nullptr) return;
  if (!ends_.empty() && !ends_.back()->side().ended()) {
    ends_.back()->side().forced("loses its client");
  }
  // From here on it is gone for our own handlers, too.
  again_.cancel();
  std::unique_ptr<TcpClient> last = std::move(client_);
  last.reset();
  for (const auto& end : ends_) end->side().gone();
}

std::string Talker::state() const {
  std::string text = name_;
  text += ' ';
  text += client_ == nullptr ? "gone" : to_string(client_->state());
  if (!ends_.empty()) {
    Side& side = ends_.back()->side();
    text += ", sent " + std::to_string(side.sent_bytes()) + ", received " +
            std::to_string(side.received_bytes()) + (side.is_shut() ? ", shut" : "") +
            (side.ended() ? ", ended" : "");
  }
  return text;
}

// ---- Connectors ----

namespace {

ConnectorOptions caller_options(Run& run, std::uint64_t seed) {
  ConnectorOptions options;
  options.seed = seed;
  options.backoff = {.initial = 1ms, .maximum = 20ms};
  options.max_attempts = 1 + static_cast<unsigned>(run.dice.up_to(3));
  options.connect_timeout = std::chrono::milliseconds(20 + run.dice.up_to(80));
  return options;
}

}  // namespace

Caller::Caller(Run& run, std::string name, const Address& target, Target kind)
    : run_(run),
      name_(std::move(name)),
      kind_(kind),
      connector_(std::make_unique<Connector>(run.loop, target, handlers(),
                                             caller_options(run, run.dice.up_to(UINT64_MAX)))) {}

void Caller::begin() {
  const std::error_code failed = connector_->start();
  run_.ledger.require(!failed, name_ + ": can't start: " + failed.message());
}

ConnectorHandlers Caller::handlers() {
  return {
      .on_connected =
          [this](platform::Descriptor, const Address&) {
            outcome("connected");
            run_.ledger.require(kind_ == Target::kOpen, name_ + ": connected to nobody");
          },
      .on_attempt_failed =
          [this](const FailedAttempt& failure) {
            run_.ledger.note(name_ + " failed: " + failure.error.message());
            run_.ledger.require(failure.attempt == ++attempts_,
                                name_ + ": attempts are miscounted");
            run_.ledger.require(outcomes_ == 0, name_ + ": an attempt behind the outcome");
            run_.ledger.require(kind_ != Target::kOpen || !run_.plan.calm,
                                name_ + ": can't reach an open port: " + failure.error.message());
            if (run_.plan.violence > 0 && run_.dice.one_in(10)) connector_.reset();
          },
      .on_give_up =
          [this](std::error_code error) {
            outcome("gives up");
            run_.ledger.require(static_cast<bool>(error), name_ + ": gives up without an error");
          },
  };
}

void Caller::outcome(const std::string& what) {
  run_.ledger.note(name_ + ' ' + what);
  run_.ledger.require(connector_ != nullptr, name_ + ": called when it was gone");
  run_.ledger.require(++outcomes_ == 1, name_ + ": two outcomes");
}

void Caller::check_ended() {
  run_.ledger.require(outcomes_ == 1 || connector_ == nullptr, name_ + ": no outcome");
}

}  // namespace pollard::chaos
