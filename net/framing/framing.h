// Connections that speak in messages: framed() makes an on_message that gets them whole, one by
// one, from one that gets bytes; send_framed() sends one.
//
//     const LengthPrefixedCodec codec;
//     TcpServer echo(loop, Address::any(7007), {
//         .on_message = framed(codec, [codec](const TcpConnectionPtr& connection,
//                                             std::string_view message) {
//           send_framed(*connection, codec, message);
//         }),
//     });
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/net/bytes/buffer.h"
#include "pollard/net/framing/codec.h"
#include "pollard/net/tcp/tcp_connection.h"

namespace pollard {

/// Says nothing to a peer that breaks the protocol.
inline constexpr auto kNoLastWord = [](const TcpConnectionPtr&, std::error_code) {};

/// For ConnectionHandlers::on_message. `on_message(connection, std::string_view message)` runs for
/// each message; the view lies in the input, uncopied, and holds until the handler returns. A
/// handler that closes or pauses its connection gets no more messages of the same input (paused:
/// until it resumes), nor does one whose output is full (ConnectionOptions::
/// pause_reading_when_full).
///
/// Input that the codec can't accept ends the connection, and its on_disconnect gets the codec's
/// error; before that, `on_error(connection, error)` may send a last word. A peer that ends its
/// stream in the middle of a message is reported as Error::kTruncatedMessage.
template <Codec Framing, std::invocable<const TcpConnectionPtr&, std::string_view> OnMessage,
          std::invocable<const TcpConnectionPtr&, std::error_code> OnError = decltype(kNoLastWord)>
[[nodiscard]] auto framed(Framing codec, OnMessage on_message, OnError on_error = kNoLastWord) {
  return
      [codec = std::move(codec), on_message = std::move(on_message),
       on_error = std::move(on_error)](const TcpConnectionPtr& connection, Buffer& input) mutable {
        const std::string_view all = input.view();
        std::size_t taken = 0;
        std::size_t examined = connection->unfinished().value_or(0);
        connection->set_unfinished(std::nullopt);
        while (taken < all.size()) {
          const std::string_view rest = all.substr(taken);
          const Frame frame = codec.decode(rest, examined);
          if (frame.kind == Frame::Kind::kNeedMore) {
            connection->set_unfinished(frame.examined);
            break;
          }
          if (frame.kind == Frame::Kind::kError) {
            on_error(connection, frame.error);
            connection->close_with_error(frame.error);
            break;
          }
          POLLARD_ASSERT(frame.total > 0 && frame.total <= rest.size(),
                         "a codec goes on, and not too far");
          on_message(connection, rest.substr(frame.skip, frame.size));
          taken += frame.total;
          examined = 0;
          if (!connection->takes_input()) break;
        }
        input.consume(taken);
      };
}

/// Sends a message as TcpConnection::send does: from any thread, in one piece also among those of
/// other threads. Error::kMessageTooLong or kMalformedMessage for what the codec can't say.
template <Codec Framing>
std::error_code send_framed(TcpConnection& connection, const Framing& codec,
                            std::string_view message) {
  const Envelope envelope = codec.envelope(message);
  if (envelope.error) return envelope.error;
  return connection.send({envelope.head(), message, envelope.tail});
}
/// A long message is taken over, not copied.
template <Codec Framing>
std::error_code send_framed(TcpConnection& connection, const Framing& codec,
                            std::string&& message) {
  const Envelope envelope = codec.envelope(message);
  if (envelope.error) return envelope.error;
  message += envelope.tail;
  return connection.send(envelope.head(), std::move(message));
}
/// Sends a message up to its NUL, like the first send_framed().
template <Codec Framing>
std::error_code send_framed(TcpConnection& connection, const Framing& codec, const char* message) {
  return send_framed(connection, codec, std::string_view(message));
}

/// Adds a message to `output`, a Buffer or what else has an append(), which an error leaves as it
/// is.
template <class Output, Codec Framing>
requires requires(Output& output, std::string_view bytes) { output.append(bytes); }
std::error_code append_framed(Output& output, const Framing& codec, std::string_view message) {
  const Envelope envelope = codec.envelope(message);
  if (envelope.error) return envelope.error;
  output.append(envelope.head());
  output.append(message);
  output.append(envelope.tail);
  return {};
}

}  // namespace pollard
