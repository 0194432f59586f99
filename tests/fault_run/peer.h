// The other ends of a scene: raw sockets of the simulated kernel, whose calls are neither counted
// nor struck. They act between two turns of the loop.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pollard/net/names/address.h"

namespace pollard::fault_run {

/// One end of a stream.
class Peer {
 public:
  enum class End : std::uint8_t { kOpen, kFin, kReset };

  /// Connects to a listener of the scene.
  explicit Peer(const Address& server);
  /// Takes over what a listener accepted, or one end of a pair.
  explicit Peer(int fd) : fd_(fd) {}
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// Sends this behind what was said before, as the way has room.
  void say(std::string_view text);
  /// Ends its stream behind what was said.
  void finish() { finishes_ = true; }
  /// Resets the connection now.
  void reset();
  /// Reads at most so many bytes in each turn; zero: none.
  void set_appetite(std::size_t bytes) { appetite_ = bytes; }

  /// Sends and receives what can be. True when anything happened.
  bool pump();

  [[nodiscard]] const std::string& heard() const { return heard_; }
  [[nodiscard]] End end() const { return end_; }
  [[nodiscard]] bool ended() const { return end_ != End::kOpen; }
  /// A Unix-domain stream has no resets: a lost answer ends like a whole one.
  [[nodiscard]] bool has_resets() const { return has_resets_; }
  [[nodiscard]] bool said_all() const { return unsent_.empty(); }

 private:
  bool send_some();
  bool receive_some();

  int fd_ = -1;
  std::string unsent_;
  std::string heard_;
  std::size_t appetite_ = SIZE_MAX;
  bool finishes_ = false;
  bool finished_ = false;
  bool has_resets_ = true;
  bool was_reset_ = false;  // seen by a send
  End end_ = End::kOpen;
};

/// A server of raw sockets.
class RawListener {
 public:
  RawListener();
  ~RawListener();
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;

  [[nodiscard]] const Address& address() const { return address_; }
  /// A connection that waits to be accepted; null when there is none.
  [[nodiscard]] std::unique_ptr<Peer> accept();

 private:
  int fd_ = -1;
  Address address_;
};

/// Bytes that tell their place: two streams differ, and so do two places of one.
[[nodiscard]] std::string stream_of(std::size_t size, unsigned seed = 1);

}  // namespace pollard::fault_run
