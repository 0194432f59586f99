// What passes between two TCP sockets: the handshake, data, ends and resets.
#include <algorithm>
#include <utility>

#include "pollard/testkit/sim/machine.h"
#include "pollard/testkit/sim/tcp_socket.h"

namespace pollard::sim {
namespace {

// A SYN that is not answered is sent again after one second, two more, four more … (RFC 6298).
constexpr Duration kFirstRetry = std::chrono::seconds(1);

// What fits into an Ethernet frame.
constexpr std::size_t kSegment = 1460;

bool acknowledges_late(const Machine& machine) {
  return machine.options.delayed_ack > Duration::zero();
}

template <class Happen>
void after(Machine& machine, Duration delay, Happen happen) {
  if (delay <= Duration::zero()) {
    happen();
  } else {
    ++machine.packets_under_way;
    machine.clock.schedule(delay, [&machine, happen = std::move(happen)] {
      --machine.packets_under_way;
      happen();
    });
  }
}

}  // namespace

void TcpSocket::send_syn() {
  gives_up_ = saturating_add(machine().clock.now(), machine().options.connect_timeout);
  next_retry_ = kFirstRetry;
  syn_arrived();
}

// The way there and back again is one delay: nobody sees the moment between.
void TcpSocket::syn_arrived() {
  retry_.reset();
  const Duration there_and_back = 2 * machine().packet_delay();
  const Route route = machine().network.route(peer_address_);
  TcpSocket* const listener = machine().network.listener_for(peer_address_, local_);
  const auto refused = [weak = std::weak_ptr(self())] {
    const auto alive = weak.lock();
    if (alive != nullptr && alive->state_ == State::kConnecting) alive->fail(ECONNREFUSED);
  };
  if (route == Route::kSilent) return retry_syn();
  if (route == Route::kHere && listener != nullptr) {
    // One more than the backlog, as Linux counts. Those whose handshake is under way have a place,
    // where the place isn't given away at its end.
    const bool at_end = machine().options.profile.full_queue_resets;
    const std::size_t taken = listener->newcomers_.size() + (at_end ? 0 : listener->joining_);
    if (taken > listener->backlog_) return retry_syn();
    return make_connection(*listener);
  }
  if (route == Route::kHere && peer_address_ == local_) return connect_to_itself();
  after(machine(), there_and_back, refused);
}

void TcpSocket::retry_syn() {
  const MonotonicTime now = machine().clock.now();
  const Duration left = gives_up_ - now;
  const auto again = [weak = std::weak_ptr(self())] {
    const auto alive = weak.lock();
    if (alive == nullptr) return;
    const bool over = alive->machine().clock.now() >= alive->gives_up_;
    over ? alive->fail(ETIMEDOUT) : alive->syn_arrived();
  };
  retry_ = machine().clock.schedule(std::min(left, next_retry_), again);
  next_retry_ *= 2;
}

void TcpSocket::cancel_retry() {
  if (retry_.has_value()) machine().clock.cancel(*retry_);
  retry_.reset();
}

// The other end inherits the listener's options; it is there from now on, and can be accepted when
// the last packet of the handshake has arrived.
void TcpSocket::make_connection(TcpSocket& listener) {
  const auto other = std::make_shared<TcpSocket>(machine(), listener.domain());
  other->options_ = listener.options_;
  other->state_ = State::kConnected;
  other->was_connected_ = other->told_connected_ = true;
  other->bound_ = true;
  other->local_ = peer_address_;
  other->peer_address_ = local_;
  other->peer_ = self();
  peer_ = other;
  machine().network.share_port(*other, other->local_.port);
  machine().network.keep(other);
  const Duration latency = machine().packet_delay();
  after(machine(), 2 * latency, [weak = std::weak_ptr(self())] {
    const auto alive = weak.lock();
    if (alive != nullptr && alive->state_ == State::kConnecting) alive->established();
  });
  // A loopback interface hands on the last packet of the handshake before anyone runs.
  ++listener.joining_;
  after(machine(), 2 * latency + machine().options.latency,
        [weak = std::weak_ptr(other), door = std::weak_ptr(listener.self())] {
          if (const auto open = door.lock()) --open->joining_;
          if (const auto alive = weak.lock()) alive->join(door);
        });
}

// A socket whose connect goes to its own address meets itself: a simultaneous open (RFC 9293).
void TcpSocket::connect_to_itself() {
  peer_ = self();
  established();
}

void TcpSocket::established() {
  state_ = State::kConnected;
  was_connected_ = true;
  notify(kEverything);
  transmit();
}

void TcpSocket::join(const std::weak_ptr<TcpSocket>& listener) {
  const auto door = listener.lock();
  if (door == nullptr || !door->is_listening()) return send_reset();
  const bool full = door->newcomers_.size() > door->backlog_;
  if (full && machine().options.profile.full_queue_resets) return send_reset();
  door->newcomers_.push_back(self());
  door->notify(kInput);
}

void TcpSocket::fail(int error) {
  const auto alive = self();
  error_ = error;
  sending_ended_ = receiving_ended_ = true;
  finish();
  notify(kEverything);
}

// Sends what can be sent now: data as far as the peer has room, then the end, or a reset instead of
// both.
void TcpSocket::transmit() {
  const auto alive = self();
  while (const auto peer = peer_.lock()) {
    const bool connected = state_ == State::kConnected || reset_queued_;
    if (!connected || stalled_ || peer->stalled_ || !transmit_one(peer)) return;
  }
}

bool TcpSocket::transmit_one(const std::shared_ptr<TcpSocket>& peer) {
  if (std::exchange(reset_queued_, false)) {
    finish();
    deliver(peer, {.reset = true});
    return false;
  }
  if (const auto urgent = outgoing_.mark_in_front()) {
    outgoing_.drop_mark();
    deliver(peer, {.urgent = urgent});
    return true;
  }
  if (const auto front = outgoing_.front(); !front.empty()) {
    // Who has closed takes anything, and answers with a reset.
    const std::size_t filled = peer->incoming_.size() + in_flight_;
    const std::size_t space = peer->options().receive_buffer;
    const std::size_t window = peer->orphan_ ? front.size() : space - std::min(space, filled);
    const auto sent = front.first(std::min(front.size(), window));
    if (sent.empty() || holds_back(sent.size())) return false;
    Packet packet{.bytes = {sent.begin(), sent.end()}};
    outgoing_.drop(sent.size());
    in_flight_ += packet.bytes.size();
    if (acknowledges_late(machine())) unacknowledged_ += packet.bytes.size();
    deliver(peer, std::move(packet));
    return true;
  }
  if (!end_queued_ || end_sent_) return false;
  end_sent_ = true;
  deliver(peer, {.end = true});
  if (end_received_) finish();
  return false;
}

void TcpSocket::deliver(const std::shared_ptr<TcpSocket>& peer, Packet packet) {
  const MonotonicTime now = machine().clock.now();
  packet.acknowledged = std::exchange(owed_, 0);  // it rides along
  last_arrival_ = std::max(last_arrival_, saturating_add(now, machine().packet_delay()));
  after(machine(), last_arrival_ - now,
        [from = self(), weak = std::weak_ptr(peer), packet = std::move(packet)] {
          from->in_flight_ -= packet.bytes.size();
          if (const auto to = weak.lock()) to->arrive(packet);
          if (!packet.bytes.empty()) from->made_room();
        });
}

// Nagle's algorithm: one small segment at most is on its way, unless the end comes behind it.
bool TcpSocket::holds_back(std::size_t bytes) const {
  return unacknowledged_ > 0 && bytes < kSegment && !options().no_delay && !end_queued_;
}

void TcpSocket::acknowledge_later(std::size_t bytes) {
  if (!acknowledges_late(machine()) || bytes == 0) return;
  owed_ += bytes;
  if (owed_ >= 2 * kSegment) return acknowledge();  // RFC 1122 4.2.3.2
  if (owed_due_) return;
  owed_due_ = true;
  after(machine(), machine().options.delayed_ack, [weak = std::weak_ptr(self())] {
    const auto alive = weak.lock();
    if (alive == nullptr) return;
    alive->owed_due_ = false;
    alive->acknowledge();
  });
}

void TcpSocket::acknowledge() {
  const auto peer = peer_.lock();
  if (peer != nullptr && owed_ > 0) deliver(peer, {});
}

void TcpSocket::arrive(const Packet& packet) {
  const auto alive = self();
  unacknowledged_ -= std::min(unacknowledged_, packet.acknowledged);
  if (packet.acknowledged > 0) transmit();
  if (state_ == State::kOver) return;
  if (packet.reset) return arrive_reset();
  if (packet.end) {
    end_received_ = true;
    receiving_ended_ = true;
    if (end_sent_) finish();
    // The other direction goes on: nothing new for those who write, unless it has ended before.
    const bool both = sending_ended_ && machine().options.profile.edge_when_both_ends_shut;
    return notify({.bits = UINT32_MAX, .read_filter = true, .write_filter = both});
  }
  if (packet.bytes.empty() && !packet.urgent.has_value()) return;  // an acknowledgement alone
  arrive_data(packet);
  acknowledge_later(packet.bytes.size());
}

void TcpSocket::arrive_data(const Packet& packet) {
  if (orphan_) return send_reset();
  incoming_.append(packet.bytes);
  if (packet.urgent.has_value()) {
    incoming_.append_mark(*packet.urgent);
    urgent_ = packet.urgent;
  }
  notify({.bits = kReadable | kEpollUrgent, .read_filter = true});
}

void TcpSocket::arrive_reset() {
  if (state_ == State::kConnecting) return fail(ECONNREFUSED);
  const bool pipe = end_received_ && machine().options.profile.reset_after_end_is_epipe;
  fail(pipe ? EPIPE : ECONNRESET);
}

void TcpSocket::made_room() {
  if (state_ != State::kConnected || sending_ended_) return;
  const bool awaited = wants_room_ && has_ample_room();
  if (awaited) wants_room_ = false;
  notify({.bits = awaited ? kWritable : 0, .write_filter = true});
}

void TcpSocket::end_sending() {
  sending_ended_ = true;
  end_queued_ = true;
  transmit();
}

void TcpSocket::send_reset() {
  if (peer_.expired()) return finish();
  outgoing_.clear();
  reset_queued_ = true;
  transmit();
}

void TcpSocket::finish() {
  const auto alive = self();
  state_ = State::kOver;
  outgoing_.clear();
  cancel_retry();
  peer_.reset();
  machine().network.forget(*this);
  if (orphan_) release_port();
}

void TcpSocket::release_port() {
  if (std::exchange(bound_, false)) machine().network.unbind(*this);
}

}  // namespace pollard::sim
