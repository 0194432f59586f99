// Who takes part in a run: a server and what it serves, clients that come back, connectors.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pollard/net/tcp/acceptor.h"
#include "pollard/net/tcp/connector.h"
#include "pollard/net/tcp/tcp_client.h"
#include "pollard/net/tcp/tcp_server.h"
#include "pollard/tests/chaos/end.h"

namespace pollard::chaos {

class EchoServer;

/// All connections that were, by the number of the stream that their clients send.
class Meetings {
 public:
  std::uint64_t add(Side& client) {
    clients_[++last_] = &client;
    return last_;
  }
  [[nodiscard]] Side* find(std::uint64_t stream) const {
    const auto at = clients_.find(stream);
    return at == clients_.end() ? nullptr : at->second;
  }

 private:
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Side*> clients_;
};

/// The server's end of one connection: sends back what it gets.
class EchoEnd final : public End {
 public:
  EchoEnd(Run& run, std::string name, EchoServer& server, Meetings& meetings)
      : End(run, std::move(name)), server_(server), meetings_(meetings) {}

 private:
  bool recognise(std::string_view input) override;
  void use(const TcpConnectionPtr& connection, Buffer& input, std::size_t count) override;
  void peer_ended(const TcpConnectionPtr& connection) override;
  void echo(const TcpConnectionPtr& connection, Buffer& input, std::size_t count);
  void finish_late_echo();
  void ended() override;
  void destroy_owner() override;

  EchoServer& server_;
  Meetings& meetings_;
  std::optional<std::uint64_t> stream_;
  std::size_t owed_ = 0;  // taken, and not sent back yet
  bool peer_has_ended_ = false;
  Timer late_;
};

class EchoServer {
 public:
  EchoServer(Run& run, Meetings& meetings, const Address& address);

  void start();
  /// Stops it, and starts it again; unless it is about to finish.
  void restart();
  /// Stops it for good; done() afterwards.
  void finish();

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const Address& address() const { return server_.address(); }
  [[nodiscard]] const std::vector<std::shared_ptr<EchoEnd>>& ends() const { return ends_; }
  void check_stats();

 private:
  ConnectionHandlers handlers();
  static EchoEnd& end_of(const TcpConnectionPtr& connection);
  void stop_now();

  Run& run_;
  Meetings& meetings_;
  std::vector<std::shared_ptr<EchoEnd>> ends_;
  bool finishing_ = false;
  bool done_ = false;
  Timer again_;
  TcpServer server_;
};

class Talker;

/// The client's end of one connection.
class TalkerEnd final : public End {
 public:
  TalkerEnd(Run& run, std::string name, Talker& talker, Meetings& meetings);

 private:
  void began(const TcpConnectionPtr& connection) override;
  void use(const TcpConnectionPtr& connection, Buffer& input, std::size_t count) override;
  void peer_ended(const TcpConnectionPtr& connection) override;
  void say_more(const TcpConnectionPtr& connection) override;
  void destroy_owner() override;

  Talker& talker_;
  std::uint64_t stream_;
  std::uint64_t total_;
  bool waits_for_echo_;
};

/// A client that lives several lives.
class Talker {
 public:
  Talker(Run& run, Meetings& meetings, const Address& server, unsigned number);
  ~Talker();

  void begin();
  [[nodiscard]] bool done() const { return client_ == nullptr; }
  /// Destroys the client, with what it has open.
  void destroy();
  /// Soon, outside of handlers.
  void destroy_soon();
  [[nodiscard]] const std::vector<std::shared_ptr<TalkerEnd>>& ends() const { return ends_; }
  [[nodiscard]] std::string state() const;

 private:
  ConnectionHandlers handlers();
  void attempt_failed(const FailedAttempt& failure);
  void life_ended();

  Run& run_;
  Meetings& meetings_;
  std::string name_;
  unsigned lives_left_;
  unsigned attempts_ = 0;
  bool promised_another_ = true;  // the last failed attempt said that there will be one
  std::vector<std::shared_ptr<TalkerEnd>> ends_;
  Timer again_;
  std::unique_ptr<TcpClient> client_;
};

/// A bare connector, to somebody who accepts and closes, who refuses, or who keeps silent.
class Caller {
 public:
  enum class Target : std::uint8_t { kOpen, kRefusing, kSilent };

  Caller(Run& run, std::string name, const Address& target, Target kind);

  void begin();
  [[nodiscard]] bool done() const { return outcomes_ == 1 || connector_ == nullptr; }
  void destroy() { connector_.reset(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  void check_ended();

 private:
  ConnectorHandlers handlers();
  void outcome(const std::string& what);

  Run& run_;
  std::string name_;
  Target kind_;
  unsigned attempts_ = 0;
  unsigned outcomes_ = 0;
  std::unique_ptr<Connector> connector_;
};

}  // namespace pollard::chaos
