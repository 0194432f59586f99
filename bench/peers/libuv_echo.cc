// libuv: streams. It reads into the buffer that we lend it, and tries to write at once.
#include <uv.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "support/report.h"
#include "support/server_options.h"

namespace {

class Server {
 public:
  explicit Server(const bench::ServerOptions& options)
      : buffer_(options.buffer_bytes, '\0'), loop_(uv_default_loop()) {
    uv_tcp_init(loop_, &listener_);
    listener_.data = this;
    sockaddr_in address{};
    check(uv_ip4_addr("127.0.0.1", options.port, &address), "uv_ip4_addr");
    check(uv_tcp_bind(&listener_, reinterpret_cast<const sockaddr*>(&address), 0), "uv_tcp_bind");
    check(uv_listen(reinterpret_cast<uv_stream_t*>(&listener_), kBacklog, on_accept), "uv_listen");
    uv_signal_init(loop_, &stops_);
    uv_signal_start(
        &stops_, [](uv_signal_t* stops, int) { uv_stop(stops->loop); }, SIGTERM);
    bench::announce(port());
  }

  void run() {
    uv_run(loop_, UV_RUN_DEFAULT);
    bench::report(counts_);
  }

 private:
  static constexpr int kBacklog = 4096;

  // What the peer does not take at once, while the library writes it.
  struct Unsent {
    uv_write_t request;
    std::string bytes;
  };

  static void check(int status, const char* call) {
    if (status >= 0) return;
    std::fprintf(stderr, "%s: %s\n", call, uv_strerror(status));
    std::exit(1);
  }

  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in address{};
    int length = sizeof address;
    check(uv_tcp_getsockname(&listener_, reinterpret_cast<sockaddr*>(&address), &length),
          "uv_tcp_getsockname");
    return ntohs(address.sin_port);
  }

  static void on_accept(uv_stream_t* listener, int status) {
    if (status < 0) return;
    auto& server = *static_cast<Server*>(listener->data);
    auto* connection = new uv_tcp_t;
    uv_tcp_init(listener->loop, connection);
    connection->data = &server;
    auto* stream = reinterpret_cast<uv_stream_t*>(connection);
    if (uv_accept(listener, stream) != 0) return end(stream);
    ++server.counts_.accepted;
    uv_tcp_nodelay(connection, 1);
    uv_read_start(stream, on_buffer, on_read);
  }

  static void on_buffer(uv_handle_t* handle, std::size_t /*suggested*/, uv_buf_t* buffer) {
    std::string& shared = static_cast<Server*>(handle->data)->buffer_;
    buffer->base = shared.data();
    buffer->len = shared.size();
  }

  static void on_read(uv_stream_t* stream, ssize_t got, const uv_buf_t* buffer) {
    if (got == 0) return;
    if (got < 0) return end(stream);
    Counts& counts = static_cast<Server*>(stream->data)->counts_;
    counts.bytes += static_cast<std::uint64_t>(got);
    const uv_buf_t bytes = uv_buf_init(buffer->base, static_cast<unsigned>(got));
    const int sent = uv_try_write(stream, &bytes, 1);
    if (sent == got) return;
    if (sent < 0 && sent != UV_EAGAIN) return end(stream);
    write_later(stream, {bytes.base, bytes.len}, sent < 0 ? 0 : static_cast<std::size_t>(sent));
  }

  static void write_later(uv_stream_t* stream, std::string_view bytes, std::size_t sent) {
    uv_read_stop(stream);
    auto* unsent = new Unsent{{}, std::string(bytes.substr(sent))};
    unsent->request.data = unsent;
    const uv_buf_t rest =
        uv_buf_init(unsent->bytes.data(), static_cast<unsigned>(unsent->bytes.size()));
    uv_write(&unsent->request, stream, &rest, 1, on_written);
  }

  static void on_written(uv_write_t* request, int status) {
    uv_stream_t* stream = request->handle;
    delete static_cast<Unsent*>(request->data);
    if (status == 0) {
      uv_read_start(stream, on_buffer, on_read);
    } else {
      end(stream);
    }
  }

  static void end(uv_stream_t* stream) {
    auto* handle = reinterpret_cast<uv_handle_t*>(stream);
    if (uv_is_closing(handle) != 0) return;
    uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<uv_tcp_t*>(closed); });
  }

  using Counts = bench::Counts;

  std::string buffer_;
  Counts counts_;
  uv_loop_t* loop_;
  uv_tcp_t listener_{};
  uv_signal_t stops_{};
};

}  // namespace

int main(int argc, char** argv) { Server(bench::read_server_options(argc, argv)).run(); }
