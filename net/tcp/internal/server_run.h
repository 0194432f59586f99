// One run of a server, from the binding of its addresses to stop(). It owns what a run needs: the
// acceptors, the connections, the threads, and the number of connections that are counted in. The
// next run gets all of it anew, so what a loop still has in its mailbox of an earlier run finds
// that run gone and does nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "pollard/base/clock.h"
#include "pollard/base/move_function.h"
#include "pollard/net/loop/event_loop.h"
#include "pollard/net/loop/loop_thread.h"
#include "pollard/net/tcp/internal/acceptor_group.h"
#include "pollard/net/tcp/internal/admissions.h"
#include "pollard/net/tcp/internal/connection_group.h"
#include "pollard/net/tcp/internal/server_counts.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/platform/descriptor.h"

namespace pollard {

/// What all runs of one server have in common. They share it with the server, for a run whose
/// handler destroys the server outlives that.
struct ServerSetup {
  EventLoop& loop;                                     ///< of the server
  LoopHandle handle;                                   ///< of that loop
  TcpServerOptions options;                            ///< as the user gave them
  std::shared_ptr<const ConnectionHandlers> handlers;  ///< of each connection
  ServerCounts counts{};                               ///< of all runs

  /// Whether each thread listens by itself.
  [[nodiscard]] bool threads_listen() const {
    return options.balance == LoadBalancing::kKernel && options.threads > 0;
  }
};

/// The thread of the server's loop, unless a function says otherwise.
class ServerRun : public std::enable_shared_from_this<ServerRun> {
 public:
  /// Binds `addresses`. Throws as AcceptorGroup's and ConnectionGroup's constructors do.
  ServerRun(std::shared_ptr<ServerSetup> setup, std::vector<Address> addresses);
  /// After stop(), or before start().
  ~ServerRun();
  ServerRun(const ServerRun&) = delete;
  ServerRun& operator=(const ServerRun&) = delete;

  /// Where it is bound, with the port that the system chose for port 0.
  [[nodiscard]] const std::vector<Address>& addresses() const { return addresses_; }

  /// Starts the threads and listens. What it throws leaves a run that can only be stopped.
  void start();
  /// Closes the listening sockets. Harmless when they are closed.
  void stop_accepting();
  /// Stops accepting, asks all connections to end within `limit`, and calls `on_drained` in the
  /// server's loop when the last has gone, never from within this function.
  void drain(Duration limit, Task on_drained);
  /// Ends everything now. A handler of a connection that ends here may call it again: then the
  /// inner call does the rest.
  void stop();

  /// Calls `visit` for each open connection in the thread of its loop, soon.
  void for_each_connection(const std::shared_ptr<const TcpServer::Visitor>& visit);
  /// As TcpServer::threads().
  [[nodiscard]] std::vector<TcpServerThread> threads();

 private:
  // A socket that was accepted. It is closed when it does not become a connection.
  struct Newcomer {
    platform::Descriptor socket;
    Address peer;
  };

  // The listening sockets of one loop.
  struct Door {
    std::unique_ptr<AcceptorGroup> acceptors;
    std::optional<ServerCounts::Source> counts;
    // Accepted when there was no room any more: it waits as if it were still in the backlog.
    std::optional<Newcomer> waiting;
  };

  // One thread of the server's. The first members live in that thread.
  struct Shard {
    std::shared_ptr<ConnectionGroup> group;
    std::optional<ServerCounts::Source> counts;
    Door door;  // with LoadBalancing::kKernel
    Admissions::Load load{0};
    std::shared_ptr<Notice> room;        // lets in what waits at the door
    bool reported_gone = false;          // the server's thread knows that the loop has ended
    std::unique_ptr<LoopThread> thread;  // ends before the others do
  };

  class HandOver;

  void start_shard();
  void stop_shard(Shard& shard);
  static void run_in(Shard& shard, const MoveFunction<void(EventLoop&)>& task);
  void open_door(Door& door, EventLoop& loop, Shard* shard);
  static void close_door(Door& door);
  [[nodiscard]] Door& door_of(Shard* shard) { return shard != nullptr ? shard->door : door_; }
  void listen();
  void accepted(Shard* shard, Newcomer newcomer);
  void open(Shard* shard, Newcomer newcomer, Admissions::Ticket ticket);
  [[nodiscard]] Admissions::Ticket admit(Door& door);
  void make_room();
  void let_in(Shard* shard);
  [[nodiscard]] Shard* choose_shard();
  void hand_over(Newcomer newcomer, Admissions::Ticket ticket);
  void report_gone(Shard& shard);
  void drained();
  template <class Work>
  void in_each_group(Work work);

  std::shared_ptr<ServerSetup> shared_setup_;
  ServerSetup& setup_;
  std::vector<Address> addresses_;
  std::shared_ptr<ConnectionGroup> base_group_;
  std::optional<ServerCounts::Source> base_counts_;
  Door door_;                               // bound; it listens unless each thread does
  std::shared_ptr<Admissions> admissions_;  // since start()
  std::vector<std::unique_ptr<Shard>> shards_;
  std::size_t next_shard_ = 0;
  Task on_drained_;
};

}  // namespace pollard
