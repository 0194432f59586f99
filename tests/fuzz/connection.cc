#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "pollard/base/assert.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/testkit/sim/faults.h"
#include "pollard/testkit/sim/kernel.h"
#include "pollard/tests/chaos/ledger.h"
#include "pollard/tests/chaos/stream.h"
#include "pollard/tests/fuzz/script.h"

namespace pollard::fuzz {
namespace {

using namespace std::chrono_literals;

// What the server sends on a connection is a stream of its own.
constexpr std::uint64_t kFromServer = std::uint64_t{1} << 32U;

sim::KernelOptions small_kernel(Script& script) {
  sim::KernelOptions options;
  options.send_buffer = options.receive_buffer = 4096;
  options.latency = std::chrono::microseconds(script.next());
  return options;
}

// One end of one connection.
struct End {
  End(chaos::Ledger& ledger, std::string name, std::uint64_t sends, std::uint64_t receives)
      : side(ledger, std::move(name)), stream(sends) {
    side.receive_stream(receives);
  }

  chaos::Side side;
  std::uint64_t stream;
};

class World {
 public:
  explicit World(Script& script)
      : script_(script),
        kernel_(small_kernel(script)),
        faults_({.seed = script.next()}),
        ledger_(false, [](std::string_view) {}),
        loop_(std::in_place, EventLoopOptions{.poller = poller(),
                                              .receive_buffer_bytes = 4096,
                                              .on_exception = [](std::exception_ptr) {}}) {
    server_.emplace(*loop_, Address::loopback(7), handlers(false), TcpServerOptions{});
    server_->start();
  }

  void play() {
    connect();
    constexpr int kMostSteps = 2000;
    for (int steps = 0; steps < kMostSteps && !script_.over(); ++steps) {
      step(script_.next());
      check();
    }
    finish();
  }

 private:
  std::string poller() {
    static constexpr std::array<const char*, 4> kPollers = {"epoll", "kqueue", "poll", "select"};
    return kPollers[script_.next() % kPollers.size()];
  }

  void step(std::uint8_t what) {
    const bool client = what % 2 == 0;
    switch (what / 2 % 16) {
      case 0: return send(client, script_.next_size() % 20'000);
      case 1: return shut_down(client);
      case 2: return force_close(client);
      case 3: return pause(client, true);
      case 4: return pause(client, false);
      case 5: return close_later(client);
      case 6: reaction_ = script_.next(); return;
      case 7: return befall(script_.next());
      case 8: return connect();
      case 9: return destroy_client();
      case 10: return restart_server();
      case 11: return on_the_way(&sim::Kernel::cut);
      case 12: return on_the_way(&sim::Kernel::stall);
      case 13: return on_the_way(&sim::Kernel::resume);
      case 14: return turn(std::chrono::milliseconds(script_.next()));
      default: return turn(Duration::zero());
    }
  }

  void turn(Duration limit) {
    try {
      loop_->run_once(limit);
    } catch (const std::system_error&) {  // for want of memory
    }
  }

  // The latest connection of that side, if it is open.
  std::pair<End*, TcpConnectionPtr> open_end(bool client) {
    for (auto at = ends_.rbegin(); at != ends_.rend(); ++at) {
      if (is_client(**at) != client || (*at)->side.ended()) continue;
      if (TcpConnectionPtr connection = (*at)->side.connection()) return {at->get(), connection};
    }
    return {nullptr, nullptr};
  }
  static bool is_client(const End& end) { return end.side.name() == "client"; }

  void send(bool client, std::size_t size) {
    const auto [end, connection] = open_end(client);
    if (end == nullptr || end->stream == 0) return;
    const std::string part = chaos::stream_part(end->stream, end->side.sent_bytes(), size);
    end->side.sent(size, connection->send(part));
  }
  void shut_down(bool client) {
    const auto [end, connection] = open_end(client);
    if (end == nullptr) return;
    end->side.shut();
    connection->shutdown();
  }
  void force_close(bool client) {
    const auto [end, connection] = open_end(client);
    if (end == nullptr) return;
    end->side.forced("is closed");
    connection->force_close();
  }
  void close_later(bool client) {
    const auto [end, connection] = open_end(client);
    if (end == nullptr) return;
    end->side.limited();
    connection->force_close_after(std::chrono::milliseconds(script_.next()));
  }
  void pause(bool client, bool paused) {
    const auto [end, connection] = open_end(client);
    if (end == nullptr) return;
    paused ? connection->pause_reading() : connection->resume_reading();
  }

  // Something between the ends of the latest connection.
  void on_the_way(bool (sim::Kernel::*happens)(const platform::Endpoint& end)) {
    const auto [end, connection] = open_end(true);
    if (end == nullptr) return;
    static_cast<void>((kernel_.*happens)(connection->local_address().endpoint()));
  }

  void befall(std::uint8_t which) {
    static constexpr std::array kChances = {
        &sim::FaultChances::interrupted,    &sim::FaultChances::short_read,
        &sim::FaultChances::short_write,    &sim::FaultChances::full_buffer,
        &sim::FaultChances::spurious_event, &sim::FaultChances::stale_event,
        &sim::FaultChances::reordered,      &sim::FaultChances::small_batch,
        &sim::FaultChances::process_limit,  &sim::FaultChances::system_limit,
        &sim::FaultChances::no_buffers,     &sim::FaultChances::no_memory,
        &sim::FaultChances::aborted_accept, &sim::FaultChances::reset,
        &sim::FaultChances::stall,          &sim::FaultChances::taken_number,
    };
    if (which >= kChances.size() * 2) {
      chances_ = {};
    } else {
      chances_.*kChances[which / 2] = which % 2 == 0 ? 0.5 : 0.05;
    }
    faults_.set_chances(chances_);
  }

  void connect() {
    if (client_ == nullptr) {
      client_ = std::make_unique<TcpClient>(*loop_, Address::loopback(7), handlers(true));
    }
    static_cast<void>(client_->connect());
  }
  void destroy_client() {
    for (const auto& end : ends_) {
      if (is_client(*end) && !end->side.ended()) end->side.forced("loses its client");
    }
    std::unique_ptr<TcpClient> last = std::move(client_);
    last.reset();
    for (const auto& end : ends_) {
      if (is_client(*end)) end->side.gone();
    }
  }
  void restart_server() {
    if (stopping_) return;
    for (const auto& end : ends_) {
      if (!is_client(*end) && !end->side.ended()) end->side.forced("is stopped");
    }
    stopping_ = true;
    server_->stop();
    stopping_ = false;
    try {
      server_->start();
    } catch (const std::system_error&) {  // for want of descriptors or memory
    }
  }

  // What the next handler is to do.
  void react(End& end, const TcpConnectionPtr& connection) {
    const bool client = is_client(end);
    switch (std::exchange(reaction_, 0) % 8) {
      case 1: end.side.threw(); throw std::runtime_error("a handler throws");
      case 2: end.side.forced("is closed by its handler"); return connection->force_close();
      case 3: return client ? destroy_client() : restart_server();
      case 4: return shut_down(client);
      case 5: return send(client, 5000);
      case 6: return pause(client, true);
      case 7: loop_->post([connection] { connection->resume_reading(); }); return;
      default: return;
    }
  }

  ConnectionHandlers handlers(bool client) {
    const auto end_of = [](const TcpConnectionPtr& connection) -> End& {
      return *std::any_cast<End*>(connection->context());
    };
    return {
        .on_connect =
            [this, client](const TcpConnectionPtr& connection) {
              const std::uint64_t stream = client ? ends_.size() + 1 : 0;
              ends_.push_back(std::make_unique<End>(ledger_, client ? "client" : "server", stream,
                                                    stream + kFromServer));
              End& end = *ends_.back();
              connection->context() = &end;
              end.side.on_connect(connection);
              react(end, connection);
            },
        .on_message =
            [this, client, end_of](const TcpConnectionPtr& connection, Buffer& input) {
              End& end = end_of(connection);
              end.side.on_message(input.view());
              if (!client && end.stream == 0 && !meet_client(end, input.view())) return;
              end.side.took(input.view());
              input.clear();
              end.side.left(0);
              react(end, connection);
            },
        .on_peer_end =
            [this, end_of](const TcpConnectionPtr& connection) {
              End& end = end_of(connection);
              end.side.on_peer_end();
              react(end, connection);
            },
        .on_disconnect =
            [end_of](const TcpConnectionPtr& connection, const DisconnectReason& reason) {
              end_of(connection).side.on_disconnect(reason);
            },
        .on_write_complete =
            [this, end_of](const TcpConnectionPtr& connection) {
              End& end = end_of(connection);
              end.side.on_write_complete(*connection);
              react(end, connection);
            },
    };
  }

  // The first bytes say whose connection it is.
  bool meet_client(End& server, std::string_view input) {
    if (input.size() < chaos::kHeaderBytes) {
      server.side.left(input.size());
      return false;
    }
    const std::uint64_t stream = chaos::stream_at(input);
    POLLARD_ASSERT(stream >= 1 && stream <= ends_.size(), "a stream that nobody sends");
    End& client = *ends_[static_cast<std::size_t>(stream - 1)];
    POLLARD_ASSERT(is_client(client), "clients send it");
    server.stream = stream + kFromServer;
    server.side.receive_stream(stream);
    server.side.meet(client.side);
    client.side.meet(server.side);
    return true;
  }

  void check() const {
    if (!ledger_.problems().empty()) {
      pollard::assertion_failed("a promise", ledger_.problems().front().c_str(),
                                {__FILE__, __LINE__, __func__});
    }
  }

  // When all is taken down, nothing is left.
  void finish() {
    reaction_ = 0;
    faults_.set_chances({});
    destroy_client();
    for (const auto& end : ends_) {
      if (!end->side.ended()) end->side.forced("ends with the run");
    }
    server_.reset();
    turn(Duration::zero());
    for (const auto& end : ends_) end->side.check_ended();
    loop_.reset();
    for (const std::string& left : faults_.open_descriptors()) ledger_.problem("left: " + left);
    for (const std::string& misuse : faults_.misuse()) ledger_.problem(misuse);
    check();
  }

  Script& script_;
  sim::Kernel kernel_;
  sim::Faults faults_;
  sim::FaultChances chances_;
  chaos::Ledger ledger_;
  std::vector<std::unique_ptr<End>> ends_;
  std::optional<EventLoop> loop_;
  std::optional<TcpServer> server_;
  std::unique_ptr<TcpClient> client_;
  bool stopping_ = false;
  std::uint8_t reaction_ = 0;
};

}  // namespace

void fuzz_connection(Bytes bytes) {
  Script script(bytes);
  World(script).play();
}

}  // namespace pollard::fuzz
