// One stream to one peer, over TCP or a Unix-domain socket. Servers and clients make them; handlers
// get them as shared pointers, which may be kept for as long as anybody likes.
//
//     kConnecting ──▶ kConnected ──▶ kDisconnecting ──▶ kDisconnected
//          │              └───────────────────────────────▲
//          └───────────────────────────────────────────────┘
//
// kDisconnecting: our side has ended, or is going to when what is queued has left; theirs may go
// on.
//
// When does a connection close, with which reason, and what does the peer see last? Whatever the
// reason: output that was accepted by send() and has not reached the kernel is lost, and so is what
// ConnectionHandlers::owes_output says that the user still has. Then the peer gets a reset (RST,
// RFC 9293 3.5.2), so that it can't take the truncated stream for a complete one. A Unix-domain
// socket has no reset: its peer sees the end of the stream.
//
//     what ends it                                reason                 the peer sees
//     --------------------------------------------------------------------------------------
//     the peer ended; everything queued has left  kPeer                  FIN
//     the peer ended inside of a message          kError kTruncatedMessage FIN
//     shutdown(), then the peer ended             kLocal                 FIN
//     the peer reset; a call of the system failed kError                 RST, if it is there
//     a file became shorter than its region       kError EIO             RST
//     output above output_limit                   kError kOutputLimit    RST
//     the connection's own work lacks memory      kException             RST
//     reset_when_sent(why)                        kError why             RST, behind the output
//     a limit of time, force_close_after()        kTimeout               FIN, RST if output is lost
//     close_with_error(why)                       kError why             FIN, RST if output is lost
//     input above input_limit                     kError kInputLimit     FIN, RST if output is lost
//     a handler threw                             kException             FIN, RST if output is lost
//     force_close(); the owner ends               kLocal                 FIN, RST if output is lost
//     the loop ends                               kError kLoopClosed     FIN, RST if output is lost
//     set_linger(0s) and any of these             as above               RST
#pragma once

#include <any>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>

#include "pollard/base/clock.h"
#include "pollard/net/bytes/buffer.h"
#include "pollard/net/bytes/internal/output_queue.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/internal/watcher.h"
#include "pollard/net/names/address.h"
#include "pollard/net/tcp/connection_handlers.h"
#include "pollard/net/tcp/timeouts.h"
#include "pollard/platform/descriptor.h"
#include "pollard/platform/failure.h"

namespace pollard {

class ConnectionGroup;
class LoopConnections;

/// Alive for as long as somebody holds it; open until on_disconnect.
class TcpConnection final : public std::enable_shared_from_this<TcpConnection>, private Watcher {
 public:
  /// As in the diagram above.
  enum class State : std::uint8_t { kConnecting, kConnected, kDisconnecting, kDisconnected };

  // From any thread.

  /// Queues bytes to be sent, in order, also across threads: what was sent before (by happening
  /// before) leaves before. What one handler sends leaves together when the handler is done. An
  /// error says that the bytes were dropped: Error::kNotConnected or kLoopClosed.
  std::error_code send(std::string_view bytes);
  /// A copy, up to the NUL.
  std::error_code send(const char* text) { return send(std::string_view(text)); }
  /// A copy.
  std::error_code send(std::span<const std::byte> bytes);
  /// Taken over, not copied, unless that is cheaper.
  std::error_code send(std::string&& bytes);
  /// Takes the contents, and leaves `bytes` empty. A handler's input goes out from where it came
  /// in.
  std::error_code send(Buffer& bytes);
  /// Likewise.
  std::error_code send(Buffer&& bytes) { return send(bytes); }
  /// Several pieces as one.
  std::error_code send(std::initializer_list<std::string_view> pieces);
  /// Likewise; a long body is taken over, not copied.
  std::error_code send(std::string_view head, std::string&& body);
  /// Part of a file (sendfile(2) where the system has it).
  std::error_code send_file(FileRegion region);

  /// Ends our side when what is queued has left; the peer may go on, and is heard until it ends
  /// too.
  void shutdown();
  /// Likewise, with a limit from now on: a connection that still lives then is closed with
  /// Kind::kTimeout.
  void shutdown(Duration limit);

  /// Ends both sides soon, in the loop's thread and outside of handlers. What is queued is dropped;
  /// no message comes any more. May throw std::bad_alloc, and then has done nothing.
  void force_close();
  /// The same after a delay, with Kind::kTimeout; the earliest of several holds.
  void force_close_after(Duration delay);
  /// As force_close(), for a peer that broke the protocol: on_disconnect gets Kind::kError and
  /// `why`. What is queued is sent as far as the socket takes it at once, so that a last word has a
  /// chance.
  void close_with_error(std::error_code why);
  /// Passes a reset on, as a relay does: sends what is queued, and then ends both sides by a reset
  /// (RST), with Kind::kError and `why`. After `limit` the connection ends with Kind::kTimeout, and
  /// by a reset, too. Later sends are refused. The loop's thread.
  void reset_when_sent(std::error_code why, Duration limit);

  /// Marks the connection as busy, or takes that mark away: for a server that stops gracefully.
  /// TcpServer::stop_gracefully() lets a busy connection go on until the mark is taken away, and
  /// then ends it as shutdown() does, behind what was sent before. Ignored by everything else.
  void set_busy(bool busy);

  /// Stops reading, so that the peer has to wait, and goes on. A paused connection learns of the
  /// peer's end when it resumes, or when a send fails, which ends the pause. Input that on_message
  /// left comes again on resuming.
  void pause_reading();
  /// Goes on. Input that on_message left comes again.
  void resume_reading();

  /// As of now; it may be another one when you look.
  [[nodiscard]] State state() const { return state_of(word_.load(std::memory_order_acquire)); }
  /// Whether both sides are open.
  [[nodiscard]] bool connected() const { return state() == State::kConnected; }
  /// The other end; kept when the connection has ended.
  [[nodiscard]] const Address& peer_address() const { return peer_; }
  /// Of its loop, also when that is gone.
  [[nodiscard]] LoopHandle loop_handle() const;

  // In the loop's thread.

  /// Until the end of the turn in which the connection ends.
  [[nodiscard]] EventLoop& loop() const;
  /// Asked of the system; empty when the connection has ended.
  [[nodiscard]] Address local_address() const;
  /// Returns what the user keeps with the connection. It is destroyed in the loop's thread, at the
  /// end of the iteration in which the connection ends, and after on_disconnect and the close
  /// callbacks, whichever thread still holds the connection. From then on it is empty.
  [[nodiscard]] std::any& context() {
    assert_in_loop_thread();
    return context_;
  }
  /// Adds a callback that runs after on_disconnect, in the reverse order of adding; at once when
  /// that has been. It belongs to the connection, not to its server or client: it runs exactly once
  /// whatever happens, so also after an on_disconnect that has destroyed its own server or client.
  /// Don't refer to these in it.
  void add_close_callback(Task callback);
  /// Bytes queued and not yet in the kernel.
  [[nodiscard]] std::uint64_t unsent() const {
    assert_in_loop_thread();
    return pending_send_size() + (output_ == nullptr ? 0 : output_->size());
  }
  /// Whether set_busy(true) was called last.
  [[nodiscard]] bool busy() const {
    assert_in_loop_thread();
    return busy_;
  }
  /// Whether its server stops gracefully, so that this connection ends when it isn't busy.
  [[nodiscard]] bool draining() const {
    assert_in_loop_thread();
    return draining_;
  }
  /// Whether on_high_water was told, and on_low_water not yet.
  [[nodiscard]] bool above_high_water() const {
    assert_in_loop_thread();
    return above_high_water_;
  }
  /// Heap memory that the connection holds for input and output, in bytes.
  [[nodiscard]] std::size_t buffer_memory() const;
  /// In the place of ConnectionOptions::timeouts. They begin to count now.
  void set_timeouts(const Timeouts& limits);
  /// Whether it is watched for edges; see TriggerChoice.
  [[nodiscard]] bool edge_triggered() const { return trigger() == Trigger::kEdge; }

  // For an on_message that takes many messages from one input; framed() in framing.h is one.

  /// Whether to go on: false when the connection has been closed or paused, or, with
  /// pause_reading_when_full, has more to send than high_water. What is left then comes again,
  /// unless the connection is closed, when reading goes on.
  [[nodiscard]] bool takes_input() {
    assert_in_loop_thread();
    const bool open = !paused() && !ended() && !close_requested();
    return open && (output_ == nullptr || !yields_to_output());
  }
  /// on_message leaves the beginning of a message, and has examined so much of it. If the peer ends
  /// its stream there, on_disconnect gets Error::kTruncatedMessage.
  void set_unfinished(std::optional<std::size_t> examined) {
    assert_in_loop_thread();
    if (rest_ != nullptr || examined.has_value()) rest().unfinished = examined;
  }
  /// What was set last.
  [[nodiscard]] std::optional<std::size_t> unfinished() const {
    assert_in_loop_thread();
    return rest_ == nullptr ? std::nullopt : rest_->unfinished;
  }

  /// TCP_NODELAY (tcp(7)): small messages leave at once.
  std::error_code set_no_delay(bool on);
  /// SO_LINGER (socket(7)): with an interval of zero, the end of the connection is a reset (RST),
  /// which drops what the kernel has not sent yet. Without an interval the kernel sends in the
  /// background, which is the default. Another interval is refused with Error::kLingerBlocks:
  /// close(2) would hold the loop's thread, and all of its connections, for so long.
  /// shutdown(limit) waits without that.
  std::error_code set_linger(std::optional<std::chrono::seconds> interval);

  ~TcpConnection() override;

 private:
  friend class ConnectionGroup;
  struct Key {};  // only groups make connections

 public:
  /// @cond  For groups.
  TcpConnection(Key, std::shared_ptr<ConnectionGroup>&& group, platform::Descriptor&& socket,
                Address&& peer);
  /// @endcond

 private:
  enum class Received : std::uint8_t { kMore, kDrained, kEnded };
  // How sending stands.
  //
  //     kFlows ⇄ kBlocked   the socket is full: until it is writable
  //     kFlows ⇄ kYields    others have their turn first: until the next iteration
  //     kFlows ⇄ kStarves   the kernel is short of memory: until a timer has run
  //     kFlows ──▶ kEnded   our FIN has been sent
  //     any ──▶ kBroken     a send has failed, or output was dropped: the end will be a reset
  enum class Sending : std::uint8_t { kFlows, kBlocked, kYields, kStarves, kEnded, kBroken };
  // How receiving stands; beside it, it may be paused.
  //
  //     kFlows ⇄ kStarves   the kernel is short of memory: until a timer has run
  //     kFlows ──▶ kEnded   the peer's FIN has come
  enum class Receiving : std::uint8_t { kFlows, kStarves, kEnded };
  // What makes a connection other than the everyday one, beside the three states in one word, so
  // that one comparison tells. Any thread may change the state, the first bit and the count of
  // sends, the loop's the others.
  enum Condition : std::uint64_t {
    kCloseRequested = 1U << 2U,
    kContinues = 1U << 3U,  // again_ says with what
    kPausedByUser = 1U << 4U,
    kPausedByOutput = 1U << 5U,
    kRedeliver = 1U << 6U,  // input was left that may hold whole messages
    kReadToEnd = 1U << 7U,  // a short read isn't the last any more
    kOwesWriteComplete = 1U << 8U,
    kHasRest = 1U << 9U,     // rest_
    kHasOutput = 1U << 10U,  // output_
  };
  static constexpr std::uint64_t kStateBits = 3;
  static constexpr unsigned kSendingShift = 16;
  static constexpr std::uint64_t kSendingBits = 7U << kSendingShift;
  static constexpr unsigned kReceivingShift = 20;
  static constexpr std::uint64_t kReceivingBits = 3U << kReceivingShift;
  // Sends of other threads that are posted, and not queued yet, are counted above everything else.
  static constexpr std::uint64_t kOneSentFromAfar = std::uint64_t{1} << 32U;
  // What on_message left.
  struct Rest {
    Buffer input;
    std::optional<std::size_t> unfinished;
  };
  // What is tried again after a while, because no event will announce when it is worth it.
  struct Retry {
    Timer timer;
    unsigned tries = 0;  // in a row

    [[nodiscard]] Duration next_delay(Duration first, Duration longest);
  };
  // What few connections need.
  struct Extras {
    std::vector<Task> close_callbacks;
    Timer limit;
    MonotonicTime limit_at{};
    std::optional<DisconnectReason> end;  // decided in a handler, carried out after it
    std::error_code output_error;
    std::error_code reset_passed_on;  // when what is queued has left
    Retry send_retry;
    Retry receive_retry;
    Retry reset_check;
  };
  struct Limited {
    Timeouts limits;
    CoarseTimers& timers;         // the loop's
    ConnectionProgress progress;  // but for what watch_limits() asks the connection
    Timer next;
  };
  struct HeadAndBody {
    std::string head;
    std::string body;
  };
  using Owned = std::variant<std::string, Buffer, FileRegion, HeadAndBody>;

  [[nodiscard]] std::error_code establish(TcpConnectionPtr& self);
  void begin();
  void on_ready(Readiness ready) override;
  void on_ready_for_more(Readiness ready);
  void on_turn_end() override;
  void on_loop_gone() override;
  void out_of_memory();
  void assert_in_loop_thread() const {
    if (const EventLoop* loop = loop_or_null()) loop->assert_in_loop_thread();
  }

  static constexpr std::uint64_t to_word(State state) { return static_cast<std::uint64_t>(state); }
  static constexpr State state_of(std::uint64_t word) {
    return static_cast<State>(word & kStateBits);
  }
  [[nodiscard]] Sending sending() const {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    return static_cast<Sending>((word & kSendingBits) >> kSendingShift);
  }
  [[nodiscard]] Receiving receiving() const {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    return static_cast<Receiving>((word & kReceivingBits) >> kReceivingShift);
  }
  [[nodiscard]] bool sent_from_afar() const {
    return word_.load(std::memory_order_acquire) >= kOneSentFromAfar;
  }
  [[nodiscard]] bool everyday() const {
    return word_.load(std::memory_order_acquire) == to_word(State::kConnected);
  }
  [[nodiscard]] bool fully_open() const {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    return (word & (kStateBits | kCloseRequested)) == to_word(State::kConnected);
  }
  [[nodiscard]] bool is(std::uint64_t any_of) const {
    return (word_.load(std::memory_order_acquire) & any_of) != 0;
  }
  [[nodiscard]] bool close_requested() const { return is(kCloseRequested); }
  [[nodiscard]] bool paused() const { return is(kPausedByUser | kPausedByOutput); }
  void mark(Condition condition, bool on = true) {
    if (is(condition) == on) return;
    if (on) {
      word_.fetch_or(condition);
    } else {
      word_.fetch_and(~static_cast<std::uint64_t>(condition));
    }
  }
  template <class Allowed>
  bool enter_if(State next, Allowed allowed);
  void enter(State next);
  void enter(Sending next);
  void enter(Receiving next);
  bool start_disconnecting();
  bool request_close();
  [[nodiscard]] bool ended() const { return state() == State::kDisconnected; }
  template <class Call>
  void run_handler(Call call);
  [[gnu::cold]] void handler_threw();
  void run_last(const Task& call);

  // Limits of time
  void watch_limits();
  void note_waiting_output();
  [[nodiscard]] MonotonicTime stamp();
  void note_received(std::size_t count);
  void note_sent(std::size_t count);

  // Input
  void read_input();
  void read_on();
  [[nodiscard]] bool may_read() const {
    return !ended() && !paused() && receiving() == Receiving::kFlows;
  }
  [[nodiscard]] Received receive_once();
  [[nodiscard]] Received receive_behind_rest();
  [[nodiscard]] Received received_some(bool full);
  [[nodiscard, gnu::noinline]] Received received_nothing(platform::Result got);
  void deliver(Buffer& input);
  void finish_delivery(Buffer& input);
  void keep_rest(Buffer& input);
  [[nodiscard]] Rest& rest();
  void drop_rest();
  [[nodiscard]] bool ends_with_peer();
  void peer_ended();
  void peer_reset();
  void set_paused(Condition who, bool paused_now);
  [[nodiscard]] bool yields_to_output();
  void deliver_again_next_turn();
  void continue_once(Readiness again);
  [[nodiscard]] Readiness with_continuation(Readiness ready);

  // What no event announces
  [[nodiscard, gnu::cold]] bool starves(platform::Operation operation, std::error_code error);
  void try_again(platform::Operation operation);
  void watch_for_reset();
  void check_for_reset();

  // Output
  [[nodiscard]] std::error_code refuse_send();
  [[nodiscard]] bool may_send_here() const;
  [[nodiscard]] bool may_send_in_place(const Buffer& bytes) const;
  [[nodiscard]] bool is_active() const;
  [[nodiscard]] std::size_t pending_send_size() const;
  [[nodiscard]] std::span<const std::byte> take_pending_send();
  [[nodiscard]] OutputQueue& output();
  void copy(std::span<const std::byte> bytes);
  [[nodiscard]] bool copy_directly(std::span<const std::byte> bytes);
  void queued();
  void settle_at_turn_end();
  std::error_code send_contents(Buffer& bytes);
  std::error_code send_from_afar(Owned owned);
  void send_owned(Owned owned);
  template <class Bytes>
  void enqueue(Bytes&& bytes);
  void flush();
  void flush_pending_send();
  bool send_pending(LoopConnections& shared);
  void keep_unsent(std::span<const std::byte> bytes, platform::Result sent);
  void output_failed(std::error_code error);
  void release_output();
  void report_water();

  // The end
  void mark_busy(bool busy);
  void drain(Duration limit);
  void receive_visit(const MoveFunction<void(const TcpConnectionPtr&)>& visit);
  void settle();
  [[nodiscard]] bool settled() const;
  void settle_slowly();
  [[nodiscard]] bool has_output() const { return output_ != nullptr && !output_->empty(); }
  [[nodiscard]] bool output_is_dead() const { return extras_ != nullptr && extras_->output_error; }
  [[nodiscard]] bool loses_output() const;
  [[nodiscard]] bool owner_owes_output() const;
  void finish_shutdown();
  void begin_shutdown();
  void update_interest();
  void end_soon(DisconnectReason reason);
  void close_as_requested();
  void close_outside_of_handlers();
  void close(DisconnectReason reason);
  void leave_group();
  Extras& extras();

  [[nodiscard]] const ConnectionHandlers& handlers() const;

  std::shared_ptr<ConnectionGroup> group_;
  TcpConnectionPtr self_;  // while open: what handlers get, without counting
  platform::Descriptor socket_;
  std::atomic<std::uint64_t> word_{to_word(State::kConnecting)};
  std::uint32_t place_in_group_ = 0;
  Readiness again_{};               // of the continuation
  std::uint64_t continued_in_ = 0;  // the turn of the last one
  bool in_handler_ = false;
  bool announced_ : 1 = false;  // on_connect has run
  bool told_all_ : 1 = false;   // the close callbacks have
  bool flush_scheduled_ : 1 = false;
  bool above_high_water_ : 1 = false;
  bool shutting_down_ : 1 = false;  // shutdown() has arrived in order
  bool peer_was_first_ : 1 = false;
  bool busy_ : 1 = false;      // marked by the user
  bool draining_ : 1 = false;  // drain() was called
  bool cut_off_ : 1 = false;   // the peer has ended in the middle of a message
  std::unique_ptr<Rest> rest_;
  std::unique_ptr<OutputQueue> output_;
  std::unique_ptr<Extras> extras_;
  std::unique_ptr<Limited> limited_;  // while there are limits of time
  Address peer_;
  std::any context_;
};

/// "connecting", "connected", "disconnecting" or "disconnected".
[[nodiscard]] std::string_view to_string(TcpConnection::State state);

}  // namespace pollard
