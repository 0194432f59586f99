// Asio: asynchronous reads and writes, and a buffer in each connection, as its interface wants it.
#include <asio.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "support/report.h"
#include "support/server_options.h"

namespace {

using asio::ip::tcp;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::size_t buffer_bytes, bench::Counts& counts)
      : socket_(std::move(socket)), buffer_(buffer_bytes), counts_(counts) {}

  void read() {
    socket_.async_read_some(
        asio::buffer(storage_.get(), buffer_),
        [self = shared_from_this()](const asio::error_code& error, std::size_t got) {
          if (!error) self->write(got);
        });
  }

 private:
  void write(std::size_t size) {
    counts_.bytes += size;
    asio::async_write(socket_, asio::buffer(storage_.get(), size),
                      [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  tcp::socket socket_;
  std::size_t buffer_;
  std::unique_ptr<char[]> storage_{new char[buffer_]};
  bench::Counts& counts_;
};

class Server {
 public:
  explicit Server(const bench::ServerOptions& options)
      : buffer_bytes_(options.buffer_bytes),
        acceptor_(context_, {asio::ip::address_v4::loopback(), options.port}),
        signals_(context_, SIGTERM) {
    signals_.async_wait([this](const asio::error_code&, int) { context_.stop(); });
    accept();
    bench::announce(acceptor_.local_endpoint().port());
  }

  void run() {
    context_.run();
    bench::report(counts_);
  }

 private:
  void accept() {
    acceptor_.async_accept([this](const asio::error_code& error, tcp::socket socket) {
      if (!error) {
        ++counts_.accepted;
        socket.set_option(tcp::no_delay(true));
        std::make_shared<Connection>(std::move(socket), buffer_bytes_, counts_)->read();
      }
      accept();
    });
  }

  bench::Counts counts_;
  std::size_t buffer_bytes_;
  asio::io_context context_{1};  // one thread uses it
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
};

}  // namespace

int main(int argc, char** argv) {
  constexpr std::size_t kBuffer = std::size_t{16} * 1024;
  Server(bench::read_server_options(argc, argv, {.buffer_bytes = kBuffer})).run();
}
