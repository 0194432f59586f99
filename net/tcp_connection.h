// One stream to one peer, over TCP or a Unix-domain socket. Servers and clients make them; handlers
// get them as shared pointers, which may be kept for as long as anybody likes.
//
//     kConnecting ──▶ kConnected ──▶ kDisconnecting ──▶ kDisconnected
//          │              └───────────────────────────────▲
//          └───────────────────────────────────────────────┘
//
// kDisconnecting: our side has ended, or is going to when what is queued has left; theirs may go
// on.
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
#include "pollard/net/address.h"
#include "pollard/net/buffer.h"
#include "pollard/net/connection_handlers.h"
#include "pollard/net/event_loop.h"
#include "pollard/net/output_queue.h"
#include "pollard/net/watcher.h"
#include "pollard/platform/descriptor.h"

namespace pollard {

class ConnectionGroup;

class TcpConnection final : public std::enable_shared_from_this<TcpConnection>, private Watcher {
 public:
  enum class State : std::uint8_t { kConnecting, kConnected, kDisconnecting, kDisconnected };

  // From any thread.

  /// Queues bytes to be sent, in order, also across threads: what was sent before (by happening
  /// before) leaves before. What one handler sends leaves together when the handler is done. An
  /// error says that the bytes were dropped: Error::kNotConnected or kLoopGone.
  std::error_code send(std::string_view bytes);
  std::error_code send(const char* text) { return send(std::string_view(text)); }
  std::error_code send(std::span<const std::byte> bytes);
  /// Taken over, not copied, unless that is cheaper.
  std::error_code send(std::string&& bytes);
  /// Takes the contents, and leaves `bytes` empty. A handler's input goes out from where it came
  /// in.
  std::error_code send(Buffer& bytes);
  std::error_code send(Buffer&& bytes) { return send(bytes); }
  /// Several pieces as one.
  std::error_code send(std::initializer_list<std::string_view> pieces);
  /// Part of a file (sendfile(2) where the system has it).
  std::error_code send_file(FileRegion region);

  /// Ends our side when what is queued has left; the peer may go on, and is heard until it ends
  /// too. With a limit, the connection is closed with Kind::kTimeout if it still lives then.
  void shutdown();
  void shutdown(Duration limit);

  /// Ends both sides soon, in the loop's thread and outside of handlers. What is queued is dropped;
  /// no message comes any more. After a delay: with Kind::kTimeout; the earliest of several holds.
  void force_close();
  void force_close_after(Duration delay);

  /// Stops reading, so that the peer has to wait, and goes on. A paused connection learns of the
  /// peer's end when it resumes, or when a send fails, which ends the pause. Input that on_message
  /// left comes again on resuming.
  void pause_reading();
  void resume_reading();

  [[nodiscard]] State state() const { return state_.load(std::memory_order_acquire); }
  [[nodiscard]] bool connected() const { return state() == State::kConnected; }
  [[nodiscard]] const Address& peer_address() const { return peer_; }
  [[nodiscard]] LoopHandle loop_handle() const;

  // In the loop's thread.

  /// Until the end of the turn in which the connection ends.
  [[nodiscard]] EventLoop& loop() const;
  /// Asked of the system; empty when the connection has ended.
  [[nodiscard]] Address local_address() const;
  /// Whatever the user wants to keep with the connection.
  [[nodiscard]] std::any& context() { return context_; }
  /// Runs after on_disconnect, in the reverse order of adding; at once when that has been.
  void add_close_callback(Task callback);
  /// Bytes queued and not yet in the kernel.
  [[nodiscard]] std::uint64_t unsent() const {
    return direct_.size() + (output_ == nullptr ? 0 : output_->size());
  }
  /// Heap memory that the connection holds for input and output, in bytes.
  [[nodiscard]] std::size_t buffer_memory() const;
  [[nodiscard]] bool edge_triggered() const { return trigger() == Trigger::kEdge; }

  /// TCP_NODELAY (tcp(7)), SO_LINGER (socket(7)): with a linger of zero, force_close resets.
  std::error_code set_no_delay(bool on);
  std::error_code set_linger(std::optional<std::chrono::seconds> interval);

  ~TcpConnection() override;

 private:
  friend class ConnectionGroup;
  struct Key {};  // only groups make connections

 public:
  TcpConnection(Key, std::shared_ptr<ConnectionGroup> group, platform::Descriptor socket,
                Address peer);

 private:
  enum class Received : std::uint8_t { kMore, kDrained, kEnded };
  enum Pause : std::uint8_t { kByUser = 1, kByOutput = 2 };
  // What few connections need.
  struct Extras {
    std::vector<Task> close_callbacks;
    Timer limit;
    MonotonicTime limit_at{};
    std::optional<DisconnectReason> end;  // decided in a handler, carried out after it
    std::error_code output_error;
  };
  using Owned = std::variant<std::string, Buffer, FileRegion>;

  [[nodiscard]] std::error_code establish(TcpConnectionPtr self);
  void on_ready(Readiness ready) override;
  void on_turn_end() override;
  void on_loop_gone() override;
  void out_of_memory();

  void enter(State next);
  bool start_disconnecting();
  [[nodiscard]] bool ended() const { return state() == State::kDisconnected; }
  template <class Call>
  void run_handler(Call call);
  void run_last(const Task& call);

  // Input
  void read_input();
  [[nodiscard]] Received receive_once();
  [[nodiscard]] Received receive_failed(std::error_code error);
  void deliver();
  void peer_ended();
  void peer_reset();
  void set_paused(Pause who, bool paused);

  // Output
  [[nodiscard]] std::error_code refuse_send();
  [[nodiscard]] bool may_send_here() const;
  [[nodiscard]] OutputQueue& output();
  void copy(std::span<const std::byte> bytes);
  [[nodiscard]] bool copy_directly(std::span<const std::byte> bytes);
  void queued();
  void settle_at_turn_end();
  std::error_code send_from_afar(Owned owned);
  void send_owned(Owned owned);
  void flush();
  void flush_directly();
  void output_failed(std::error_code error);
  void release_output();
  void report_water();

  // The end
  void settle();
  [[nodiscard]] bool settled() const;
  void settle_slowly();
  [[nodiscard]] bool has_output() const { return output_ != nullptr && !output_->empty(); }
  [[nodiscard]] bool output_is_dead() const { return extras_ != nullptr && extras_->output_error; }
  void finish_shutdown();
  void begin_shutdown();
  void update_interest();
  void end_soon(DisconnectReason reason);
  void close_as_requested();
  void close(DisconnectReason reason);
  Extras& extras();

  std::shared_ptr<ConnectionGroup> group_;
  const ConnectionHandlers& handlers_;  // the group's
  TcpConnectionPtr self_;               // while open: what handlers get, without counting
  platform::Descriptor socket_;
  std::atomic<State> state_{State::kConnecting};
  std::atomic<bool> close_requested_{false};
  std::atomic<std::uint32_t> sends_from_afar_{0};  // posted, and not yet queued
  bool in_handler_ = false;
  bool announced_ = false;  // on_connect has run
  bool told_all_ = false;   // the close callbacks have
  bool can_write_ = true;   // the last send was not refused
  bool flush_scheduled_ = false;
  bool owes_write_complete_ = false;
  bool above_high_water_ = false;
  bool shutting_down_ = false;  // shutdown() has arrived in order
  bool shut_down_ = false;      // our side has ended
  bool peer_ended_ = false;
  bool peer_was_first_ = false;
  bool read_to_end_ = false;  // a short read isn't the last any more
  bool redeliver_ = false;    // input was left when reading paused
  std::uint8_t paused_ = 0;
  Buffer input_;  // what on_message left
  // What the running handler has sent, as long as that is one piece: its input where it lies, or
  // bytes in the loop's scratch space. It leaves, or moves to output_, when the handler is done.
  std::span<const std::byte> direct_;
  std::unique_ptr<OutputQueue> output_;
  std::unique_ptr<Extras> extras_;
  Address peer_;
  std::any context_;
  std::size_t place_in_group_ = 0;
};

/// "connecting", "connected", "disconnecting" or "disconnected".
[[nodiscard]] std::string_view to_string(TcpConnection::State state);

}  // namespace pollard
