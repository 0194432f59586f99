// Messages on workers: whole however they were cut, in order, and with a clear end when they can't
// be understood.
#include "pollard/net/requests/request_framing.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/tests/support/service.h"

namespace pollard::testing {
namespace {

template <class Codec>
std::string packed(const Codec& codec, std::string_view message) {
  std::string bytes;
  BOOST_TEST_REQUIRE(!append_framed(bytes, codec, message));
  return bytes;
}

// Notes each message, and sends it back.
template <class Codec>
auto echo(Service& service, const Codec& codec) {
  return [&service, codec](RequestConnection& connection, std::string_view message) {
    service.notes.add(std::string(message));
    static_cast<void>(append_framed(connection.writer(), codec, message));
  };
}

// Three messages, cut everywhere.
template <class Codec>
void expect_whole(const BackendCase& backend, const Codec& codec,
                  const std::array<std::string, 3>& messages) {
  std::string all;
  std::string expected = "connect";
  for (const std::string& message : messages) {
    all += packed(codec, message);
    expected += ", " + message;
  }
  for (std::size_t cut = 1; cut < all.size(); ++cut) {
    Service service(backend);
    service.handlers.on_request = framed_requests(codec, echo(service, codec));
    service.start();
    const Descriptor peer = service.connect();
    write_text(peer.get(), all.substr(0, cut));
    service.until([&] { return service.server->stats().server.bytes_received == cut; });
    write_text(peer.get(), all.substr(cut));
    BOOST_TEST(service.hear(peer, all.size()) == all);
    BOOST_TEST(service.notes.text() == expected);
  }
}

POLLARD_EACH_BACKEND(messages_are_whole_on_workers_however_they_were_cut) {
  expect_whole({.poller = backend}, LengthPrefixedCodec({.bytes = 2}), {"one", "", "three"});
  expect_whole({.poller = backend}, LineCodec(), {"one", "", "three"});
  expect_whole({.poller = backend}, DelimitedCodec("--"), {"one", "", "-three"});
  expect_whole({.poller = backend}, FixedSizeCodec(4), {"one.", "two.", "four"});
}

POLLARD_EACH_BACKEND(a_codec_of_any_kind_tells_workers_of_what_is_cut_off) {
  const auto expect_cut_off = [&](const auto& codec, std::string_view stream) {
    Service service({.poller = backend});
    service.handlers.on_request = framed_requests(codec, echo(service, codec));
    service.start();
    const Descriptor peer = service.connect();
    write_text(peer.get(), stream);
    end_sending(peer.get());
    service.expect("connect, whole, disconnect error: " +
                   make_error_code(Error::kTruncatedMessage).message());
  };
  expect_cut_off(DelimitedCodec("--"), "whole--half-");
  expect_cut_off(FixedSizeCodec(5), "wholehalf");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_message_that_is_larger_than_a_read_comes_whole) {
  Service service(backend);
  const LengthPrefixedCodec codec;
  service.handlers.on_request =
      framed_requests(codec, [codec](RequestConnection& connection, std::string_view message) {
        static_cast<void>(append_framed(connection.writer(), codec, message));
      });
  service.options.input_limit = std::size_t{4} << 20U;
  service.start();
  const Descriptor peer = service.connect();
  const std::string large = packed(codec, std::string(3'000'000, 'x'));
  service.say(peer, large);
  BOOST_TEST((service.hear(peer, large.size()) == large));
}

// A codec that counts what it is shown.
struct Counting {
  std::atomic<std::size_t>* examined;
  LineCodec lines = {};

  [[nodiscard]] Frame decode(std::string_view input, std::size_t from) const {
    *examined += input.size() - from;
    return lines.decode(input, from);
  }
  [[nodiscard]] Envelope envelope(std::string_view message) const {
    return lines.envelope(message);
  }
};

POLLARD_EACH_BACKEND(what_was_looked_at_is_not_looked_at_again) {
  Service service({.poller = backend});
  std::atomic<std::size_t> examined{0};
  const Counting codec{&examined};
  service.handlers.on_request =
      framed_requests(codec, [&](RequestConnection&, std::string_view line) {
        service.notes.add(std::to_string(line.size()));
      });
  service.start();
  const Descriptor peer = service.connect();
  for (std::size_t sent = 1; sent <= 200; ++sent) {
    write_text(peer.get(), "x");
    service.until([&] { return service.server->stats().server.bytes_received == sent; });
    service.until([&] { return service.server->stats().workers.busy == 0; });
  }
  write_text(peer.get(), "\n");
  service.expect("connect, 200");
  BOOST_TEST(examined < 1000U);  // and not 20,000
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_a_codec_refuses_ends_the_connection_after_a_last_word) {
  Service service(backend);
  const LengthPrefixedCodec codec({.bytes = 1, .limit = 10});
  service.handlers.on_request = framed_requests(
      codec, echo(service, codec), [&](RequestConnection& connection, std::error_code error) {
        service.notes.add(error.message());
        connection.writer().append("too long");
      });
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), packed(codec, "good") + "\x0b" + packed(codec, "lost"));
  BOOST_TEST(service.hear_to_the_end(peer) == packed(codec, "good") + "too long");
  end_sending(peer.get());
  service.until_empty();
  const std::string why = make_error_code(Error::kMessageTooLong).message();
  BOOST_TEST(service.notes.text() == "connect, good, " + why + ", disconnect error: " + why);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_stream_that_ends_in_a_message_is_told_of) {
  Service service(backend);
  const LengthPrefixedCodec codec;
  service.handlers.on_request = framed_requests(codec, echo(service, codec));
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), packed(codec, "whole") + packed(codec, "half").substr(0, 6));
  end_sending(peer.get());
  service.expect("connect, whole, disconnect error: " +
                 make_error_code(Error::kTruncatedMessage).message());
}

// Whoever has gone is answered in vain, but what it asked for is done.
POLLARD_EACH_BACKEND_AND_TRIGGER(messages_that_came_before_a_reset_are_all_handled) {
  Service service(backend);
  Gate gate;
  service.handlers.on_request =
      framed_requests(LineCodec(), [&](RequestConnection& connection, std::string_view line) {
        gate.pass();
        service.notes.add(std::string(line));
        connection.writer().append("done");
        static_cast<void>(connection.writer().flush(10s));
      });
  service.start();
  Descriptor peer = service.connect();
  write_text(peer.get(), "one\ntwo\nthree\n");
  service.until([&] { return service.server->stats().server.bytes_received == 14; });
  service.until_reached(gate);
  reset_connection(peer);
  service.until([&] { return service.server->stats().server.open == 0; });
  gate.open();
  service.until_empty();
  BOOST_TEST(service.notes.text().starts_with("connect, one, two, three, disconnect error"),
             service.notes.text());
}

POLLARD_EACH_BACKEND(a_handler_that_closes_gets_no_more_messages) {
  Service service({.poller = backend});
  const LengthPrefixedCodec codec;
  service.handlers.on_request =
      framed_requests(codec, [&](RequestConnection& connection, std::string_view message) {
        service.notes.add(std::string(message));
        connection.close();
      });
  service.start();
  const Descriptor peer = service.connect();
  write_text(peer.get(), packed(codec, "first") + packed(codec, "second"));
  BOOST_TEST(service.hear_to_the_end(peer) == "");
  end_sending(peer.get());
  service.until_empty();
  BOOST_TEST(service.notes.text() == "connect, first, disconnect local");
}

}  // namespace
}  // namespace pollard::testing
