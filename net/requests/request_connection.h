// A connection whose handlers run on workers. Its loop reads and sends; one worker at a time runs
// its handlers, for as long as there is something to handle. Three states say where it stands; each
// changes by enter() alone, under the mutex.
//
// Work: which thread has it.
//
//     kIdle ──▶ kQueued ──▶ kRunning ──▶ kOver       the last callback has run
//       ▲          ▲            │
//       │          └────────────┤                    its turn is over, and others wait
//       └───────────────────────┘                    there is nothing to handle
//
// Input: what its handlers may still get.
//
//     kOpen ──▶ kEnded ──▶ kStopped    kEnded: no more comes; what has come is handled
//       └─────────────────────▲        kStopped: on_request is not called any more
//
// Ending: how far its end has come; states may be left out. The loop carries out what is wanted.
//
//     kOpen ▶ kShutdownWanted ▶ kShutDown ▶ kForceCloseWanted ▶ kForceClosed ▶ kGone
//
// What a worker does next, the first that applies:
//
//     news for the handler, Input not kStopped   its turn is over, and others wait: kGiveWay
//                                                otherwise: kRequest
//     Ending kGone                               kEnd: on_disconnect and the close callbacks
//     otherwise                                  kRest: becomes idle; if Input is not kOpen, our
//                                                side is shut down behind the answers
#pragma once

#include <any>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/base/clock.h"
#include "pollard/base/replaceable.h"
#include "pollard/net/bytes/buffer.h"
#include "pollard/net/bytes/internal/block_list.h"
#include "pollard/net/names/address.h"
#include "pollard/net/requests/request_handlers.h"
#include "pollard/net/requests/request_reader.h"
#include "pollard/net/requests/request_writer.h"
#include "pollard/net/tcp/tcp_connection.h"

namespace pollard {

class RequestGroup;
class RequestConnection;
/// Keeps a connection for as long as it is held; the connection may have ended.
using RequestConnectionPtr = std::shared_ptr<RequestConnection>;

/// Handlers get it by reference; shared_from_this() keeps it for as long as anybody likes.
class RequestConnection final : public std::enable_shared_from_this<RequestConnection> {
 public:
  /// Who was first.
  enum class ClosedBy : std::uint8_t { kNotClosed, kLocal, kPeer };

  // From any thread.

  /// Queues bytes to be sent behind what has left its handlers by then; in a handler of its own, as
  /// RequestWriter::append. An error says that they were dropped: Error::kNotConnected.
  std::error_code send(std::string_view bytes);

  /// Ends the connection when what was written has left, by a handler that runs now, too. No more
  /// requests are handled, and a handler that waits for input is told of the end.
  void close();
  /// Ends it now. What was written may be lost; then the peer gets a reset, as it does when a
  /// handler is writing in another thread.
  void force_close();
  /// As close(), for a peer that broke the protocol: on_disconnect gets Kind::kError and `why`.
  void close_with_error(std::error_code why);

  /// Nobody waits for an answer any more: it was closed by us, or has ended. For handlers that take
  /// long, to ask now and then.
  [[nodiscard]] bool cancelled() const;

  /// No more requests are handled: it was closed by us, in one of the ways above.
  [[nodiscard]] bool stopped() const;

  /// Who was first to end it; decided once.
  [[nodiscard]] ClosedBy closed_by() const { return closed_by_.load(std::memory_order_acquire); }

  /// Runs after on_disconnect, in the reverse order of adding; at once when that has been.
  void add_close_callback(Task callback);

  /// From the next call on, for this connection.
  void set_on_request(OnRequest handler) { on_request_.replace(std::move(handler)); }
  /// Likewise.
  void set_on_disconnect(OnDisconnect handler) { on_disconnect_.replace(std::move(handler)); }

  /// The peer's end, as accepted.
  [[nodiscard]] const Address& peer_address() const { return tcp_->peer_address(); }
  /// Of the loop that reads and sends.
  [[nodiscard]] LoopHandle loop_handle() const { return tcp_->loop_handle(); }

  // In its handlers.

  /// The input.
  [[nodiscard]] RequestReader& reader() {
    assert_in_handler();
    return reader_;
  }
  /// The output.
  [[nodiscard]] RequestWriter& writer() {
    assert_in_handler();
    return writer_;
  }

  /// Whether the handler should return, so that its answers leave and other connections have their
  /// turn: it has taken input, and has used up RequestServerOptions::time_slice or written 64 KiB.
  /// It is called again for what it leaves. False in on_disconnect, which is not called again.
  [[nodiscard]] bool should_yield() const;

  /// What on_connect returned: of exactly this type.
  template <class Context>
  [[nodiscard]] Context& context() {
    Context* context = context_if<Context>();
    POLLARD_ASSERT(context != nullptr, "on_connect returned no context of this type");
    return *context;
  }
  /// Null when on_connect returned something else, or threw.
  template <class Context>
  [[nodiscard]] Context* context_if() {
    assert_in_handler();
    return std::any_cast<Context>(&context_);
  }

 private:
  friend class RequestGroup;
  friend class RequestReader;
  friend class RequestWriter;
  struct Key {};  // only groups make connections

 public:
  /// For groups.
  RequestConnection(Key, std::shared_ptr<RequestGroup> group, TcpConnectionPtr tcp);

 private:
  enum class Work : std::uint8_t { kIdle, kQueued, kRunning, kOver };
  enum class Input : std::uint8_t { kOpen, kEnded, kStopped };
  enum class Ending : std::uint8_t {
    kOpen,
    kShutdownWanted,
    kShutDown,
    kForceCloseWanted,
    kForceClosed,
    kGone,  // the TcpConnection has ended
  };
  enum class Next : std::uint8_t { kRequest, kGiveWay, kEnd, kRest };
  enum class Attention : std::uint8_t { kNone, kWanted, kPosted };
  enum Pause : std::uint8_t { kByLimit = 1, kByWorkers = 2 };
  using Lock = std::unique_lock<std::mutex>;

  void enter(Work next);
  void enter(Input next);
  void enter(Ending next);

  // The loop's part.
  void received(Buffer& input);
  void peer_ended();
  void output_left();
  [[nodiscard]] bool owes_output() const;
  void gone(DisconnectReason reason);
  void attend();
  [[nodiscard]] Buffer take_sendable();

  // The worker's.
  void run();
  void take();
  void connect();
  void request();
  void disconnect();
  template <class Call>
  void guarded(Call call);
  void begin_slice();
  void renew_slice();
  [[nodiscard]] bool take_step();
  [[nodiscard]] Next next_step();
  [[nodiscard]] Next choose_next(bool turn_over);
  void rest();
  void leave() { handler_thread_.store({}, std::memory_order_relaxed); }
  void collect();
  void collect_now();
  void hand_over_output();
  void flush_output();
  [[nodiscard]] bool input_ended();
  [[nodiscard]] std::size_t input_limit() const;
  [[nodiscard]] WaitResult await_input(std::size_t wanted, MonotonicTime deadline);
  [[nodiscard]] WaitResult await_output(MonotonicTime deadline);
  template <class Ready>
  [[nodiscard]] WaitResult await(Lock& lock, MonotonicTime deadline, Ready ready);
  void stop_awaiting();

  // Any thread's.
  void queue();
  void queue_if_idle(Lock lock);
  void finish(Duration limit);
  void end_input();
  void fail(DisconnectReason reason);
  void fail_by_exception();
  void stop_requests();
  void want(Ending how);
  [[nodiscard]] bool has_output() const;
  void want_attention();
  void attend_soon(Lock lock);
  void attend_soon_or_fail(Lock lock);
  void decide_closed_by(ClosedBy who);
  void resume_below(std::size_t unread);
  void step(RequestStep step) const;
  [[nodiscard]] bool in_handler() const {
    return handler_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  void assert_in_handler() const {
    POLLARD_ASSERT(in_handler(), "reader, writer and context belong to the handler that runs now");
  }

  const std::shared_ptr<RequestGroup> group_;
  const TcpConnectionPtr tcp_;
  std::atomic<ClosedBy> closed_by_{ClosedBy::kNotClosed};
  std::atomic<std::thread::id> handler_thread_{};
  Replaceable<OnRequest> on_request_;
  Replaceable<OnDisconnect> on_disconnect_;

  // The worker's that has the connection.
  RequestReader reader_{*this};
  RequestWriter writer_{*this};
  std::any context_;
  bool connected_ = false;  // on_connect has run
  unsigned calls_ = 0;      // of handlers, since a worker took it
  MonotonicTime slice_end_{};

  // The loop's.
  bool reading_ = true;  // of the TcpConnection

  // Any thread's, under the mutex. No handler and no other object's function that may call back
  // runs under it.
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // for the one worker that waits
  Work work_ = Work::kIdle;
  Input input_ = Input::kOpen;
  Ending ending_ = Ending::kOpen;
  Attention attention_ = Attention::kNone;  // the loop's
  bool loses_output_ = false;               // by a close by force
  bool news_ = false;  // there is a reason to call on_request: input, its end, or progress
  std::uint8_t paused_ = 0;
  BlockList incoming_;
  std::atomic<bool> has_incoming_{false};  // written under the mutex
  std::size_t unread_ = 0;                 // in incoming_, and what the reader has
  Buffer outgoing_;
  std::uint64_t handed_over_ = 0;  // bytes ever written, those that were dropped at the end, too
  std::uint64_t sent_ = 0;         // of these, given to the TcpConnection
  std::uint64_t left_ = 0;         // of these, handed to the kernel
  struct {
    std::size_t input = 0;     // bytes
    std::uint64_t output = 0;  // of handed_over_, those that have to leave
  } awaited_;                  // by a handler that waits
  std::optional<DisconnectReason> reason_;
  std::vector<Task> close_callbacks_;

  std::size_t place_in_group_ = 0;  // the group's
};

/// Returns "not closed", "local" or "peer".
[[nodiscard]] std::string_view to_string(RequestConnection::ClosedBy who);

}  // namespace pollard
