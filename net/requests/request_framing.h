// Requests on workers that come as messages: framed_requests() makes an on_request that gets them
// whole, one by one.
//
//     const LengthPrefixedCodec codec;
//     RequestServer server(loop, Address::any(7007), {
//         .on_request = framed_requests(codec, [codec](RequestConnection& connection,
//                                                      std::string_view message) {
//           append_framed(connection.writer(), codec, slow_answer(message));
//         }),
//     });
#pragma once

#include <concepts>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/base/error.h"
#include "pollard/net/framing/codec.h"
#include "pollard/net/framing/framing.h"
#include "pollard/net/requests/request_connection.h"

namespace pollard {

/// Says nothing to a peer that breaks the protocol.
inline constexpr auto kNoLastAnswer = [](RequestConnection&, std::error_code) {};

/// For RequestHandlers::on_request. `on_message(connection, std::string_view message)` runs on a
/// worker for each message; the view lasts until it returns. A handler that closes its connection
/// gets no more messages. Several workers may run it at a time, for different connections. After
/// RequestServerOptions::time_slice the answers leave, and other connections have their turn.
///
/// Input that the codec can't accept ends the connection, and its on_disconnect gets the codec's
/// error; before that, `on_error(connection, error)` may write a last word. A peer that ends its
/// stream in the middle of a message is reported as Error::kTruncatedMessage.
template <Codec Framing, std::invocable<RequestConnection&, std::string_view> OnMessage,
          std::invocable<RequestConnection&, std::error_code> OnError = decltype(kNoLastAnswer)>
[[nodiscard]] auto framed_requests(Framing codec, OnMessage on_message,
                                   OnError on_error = kNoLastAnswer) {
  return [codec = std::move(codec), on_message = std::move(on_message),
          on_error = std::move(on_error)](RequestConnection& connection) {
    const auto fail = [&](std::error_code error) {
      on_error(connection, error);
      connection.close_with_error(error);
    };
    RequestReader& reader = connection.reader();
    while (!connection.should_yield() && !reader.empty() && !connection.stopped()) {
      const bool ended = reader.ended();  // asked first: what came before the end is in size()
      const Frame frame = codec.decode(*reader.peek(reader.size()), reader.examined());
      if (frame.kind == Frame::Kind::kError) return fail(frame.error);
      if (frame.kind == Frame::Kind::kNeedMore) {
        if (ended) return fail(Error::kTruncatedMessage);
        return reader.set_examined(frame.examined);
      }
      POLLARD_ASSERT(frame.total > 0 && frame.total <= reader.size(),
                     "a codec goes on, and not too far");
      on_message(connection, reader.read(frame.total)->substr(frame.skip, frame.size));
    }
  };
}

}  // namespace pollard
