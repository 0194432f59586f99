#include "pollard/tests/fault_run/stage.h"

#include <fcntl.h>

#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "pollard/platform/failure.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

namespace {

// A scene that isn't over by then hangs. Virtual minutes cost nothing.
constexpr Duration kLongestScene = 300s;
// Peers act between two turns, so no turn sleeps for longer.
constexpr Duration kLongestTurn = 100ms;

}  // namespace

Stage::Stage(const Play& play, sim::Kernel& kernel, Strike& strike, Problems& problems)
    : play_(play),
      kernel_(kernel),
      strike_(strike),
      problems_(problems),
      began_(kernel.now()),
      out_of_memory_(play.allocation > 0) {
  loop_ = std::make_unique<EventLoop>(EventLoopOptions{.poller = play.poller});
  const Truce truce;
  open_bystander();
}

Stage::~Stage() {
  const Truce truce;
  bystanders_.reset();
  loop_.reset();
}

void Stage::open_bystander() {
  int ends[2] = {-1, -1};
  if (kernel_.socketpair(ends) != 0) throw std::logic_error("no pair of sockets");
  for (const int end : ends) {
    strike_.spare(end);
    static_cast<void>(kernel_.system_calls().fcntl(end, F_SETFL, O_NONBLOCK));
  }
  bystander_ = std::make_unique<Peer>(ends[1]);
  Account& kept = account("the other connection");
  bystanders_ = std::make_shared<ConnectionGroup>(
      *loop_,
      share_handlers(kept.handlers({.on_message = [](const TcpConnectionPtr& connection,
                                                     Buffer& input) { connection->send(input); }})),
      ConnectionOptions{});
  if (bystanders_->open(platform::Descriptor(ends[0]), Address())) {
    throw std::logic_error("no other connection");
  }
  // Registered by now, where the poller collects its changes until it waits.
  static_cast<void>(loop_->run_once(Duration::zero()));
}

Peer& Stage::connect(const Address& server) {
  const Truce truce;
  return adopt(std::make_unique<Peer>(server));
}

Peer& Stage::adopt(std::unique_ptr<Peer> peer) {
  const Truce truce;
  return *peers_.emplace_back(std::move(peer));
}

Peer* Stage::accept(RawListener& listener) {
  const Truce truce;
  std::unique_ptr<Peer> accepted = listener.accept();
  return accepted == nullptr ? nullptr : &adopt(std::move(accepted));
}

RawListener& Stage::listen() {
  const Truce truce;
  return listeners_.emplace_back();
}

Account& Stage::account(std::string name) {
  const Truce truce;
  return accounts_.emplace_back(std::move(name),
                                [this](const std::string& what) { problem(what); });
}

void Stage::turn() {
  try {
    loop_->run_once(kLongestTurn);
  } catch (const std::bad_alloc& error) {
    failed("a turn of the loop", error, true);
  } catch (const std::exception& error) {
    failed("a turn of the loop", error, false);
  }
  const Truce truce;
  for (std::size_t i = 0; i < peers_.size(); ++i) static_cast<void>(peers_[i]->pump());
  static_cast<void>(bystander_->pump());
}

void Stage::failed(const char* what, const std::exception& error, bool out_of_memory) {
  const Truce truce;
  strike_.note(std::string(what) + " throws: " + error.what());
  const bool excused = out_of_memory ? out_of_memory_ : strike_.harm() != Harm::kNone;
  if (!excused) problem(std::string(what) + " throws: " + error.what());
}

bool Stage::may_go_on(std::string_view what) {
  if (!problems_.empty()) return false;  // what follows is mostly its effect
  const Truce truce;
  if (kernel_.now() - began_ > kLongestScene) {
    problem("hangs: " + std::string(what));
    return false;
  }
  if (strike_.count() > play_.most_calls) {
    problem("spins: " + std::to_string(strike_.count()) + " system calls, waiting for " +
            std::string(what));
    return false;
  }
  return true;
}

void Stage::problem(const std::string& what) {
  const Truce truce;
  strike_.note("PROBLEM " + what);
  problems_.push_back(what);
}

bool Stage::unharmed() const { return strike_.harm() == Harm::kNone && !out_of_memory_; }

bool Stage::worth_a_retry() const {
  using platform::Operation;
  const std::optional<Kind> struck = strike_.struck();
  if (!struck.has_value()) return true;
  const bool connects =
      struck == Kind::kSocket || struck == Kind::kBind || struck == Kind::kConnect;
  if (!connects && struck != Kind::kEpollAdd) return false;
  const std::error_code error(play_.blow.error, std::system_category());
  const Operation operation = connects ? Operation::kConnect : Operation::kWatch;
  return platform::classify(operation, error) != platform::FailureKind::kPermanent;
}

bool Stage::may_throw(const Strike& strike, const Play& play) {
  if (play.allocation > 0 || strike.harm() != Harm::kNone) return true;
  if (!strike.struck().has_value() || play.blow.error <= 0) return false;
  const std::error_code error(play.blow.error, std::system_category());
  return platform::classify(platform::Operation::kWait, error) == platform::FailureKind::kShortage;
}

void Stage::require(bool condition, const std::string& what) {
  if (!condition) problem(what);
}

void Stage::require_unharmed(bool condition, const std::string& what) {
  if (unharmed()) require(condition, what);
}

void Stage::check_stream(const Peer& peer, std::string_view stream) {
  const Truce truce;
  require(stream.starts_with(peer.heard()), "a peer has heard what was never sent");
  const bool all = peer.heard().size() == stream.size();
  // A connection that could not be served, or whose input was lost, may end in good order.
  const bool output_lost = strike_.struck_output();
  require(all || peer.end() != Peer::End::kFin || !output_lost || !peer.has_resets(),
          "a peer has heard " + std::to_string(peer.heard().size()) + " bytes of " +
              std::to_string(stream.size()) + ", and then an end in good order");
  require_unharmed(all, "a peer has heard " + std::to_string(peer.heard().size()) + " bytes of " +
                            std::to_string(stream.size()));
}

void Stage::check_server(const TcpServer& server, const Account& account) {
  const Truce truce;
  const TcpServerStats stats = server.stats();
  std::uint64_t closed = 0;
  for (const std::uint64_t count : stats.closed) closed += count;
  require(server.connection_count() == 0, "the server counts connections that have ended");
  require(stats.open == 0, "the server's stats count connections that have ended");
  require(closed == account.disconnects(), "the server counts " + std::to_string(closed) +
                                               " ends of connections of " +
                                               std::to_string(account.disconnects()));
}

void Stage::check_bystander(std::string_view text) {
  {
    const Truce truce;
    bystander_->say(text);
  }
  const std::size_t wanted = bystander_->heard().size() + text.size();
  until("the other connection's echo",
        [&] { return bystander_->heard().size() >= wanted || bystander_->ended(); });
  require(!bystander_->ended(), "the other connection has ended");
  require(bystander_->heard().ends_with(text), "the other connection answers something else");
}

// Tasks and timers run, and then nothing is left that would wake the loop.
void Stage::finish() {
  if (!problems_.empty()) return;
  check_bystander("is the loop alive?");
  const Truce truce;
  bool posted = false;
  bool timed = false;
  loop_->post([&] { posted = true; });
  {
    const Timer timer = loop_->after(1ms, [&] { timed = true; });
    until("a task and a timer", [&] { return posted && timed; });
  }
  for (Account& one : accounts_) {
    if (&one != &accounts_.front()) one.close();
  }
  require(loop_->stats().watched <= 2, "the loop still watches something");
  const LoopStats before = loop_->stats();
  static_cast<void>(loop_->run_once(1h));
  const LoopStats after = loop_->stats();
  require(after.timers == before.timers, "a timer is left");
  require(after.waits <= before.waits + 1, "the wait of an hour isn't one wait");
  bystanders_->close_all({});
  require(bystanders_->open_count() == 0, "the other connection can't be closed");
  accounts_.front().close();
}

}  // namespace pollard::fault_run
