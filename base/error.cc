#include "pollard/base/error.h"

#include <string>

namespace pollard {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "pollard"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Error>(value)) {
      case Error::kForked:
        return "this poller belongs to the parent process; make a new loop after fork";
      case Error::kPollerUnknown: return "no poller of that name is registered";
      case Error::kPollerUnusable: return "that poller does not work here";
      case Error::kSelfConnect: return "the socket connected to itself";
      case Error::kInputLimit: return "more unread input than the connection's limit";
      case Error::kOutputLimit: return "more unsent output than the connection's limit";
      case Error::kLoopClosed: return "the event loop has ended";
      case Error::kNotConnected: return "the connection no longer sends";
      case Error::kLingerBlocks:
        return "a linger interval above zero would block the loop in close(); zero resets, and "
               "shutdown(limit) waits without blocking";
      case Error::kHostNotFound: return "no host of that name is known";
      case Error::kServiceNotFound: return "no service of that name is known";
      case Error::kNameServiceBusy: return "the name service doesn't answer at the moment";
      case Error::kNameServiceFailed: return "the name service refuses to answer";
      case Error::kFirstByteTimeout: return "no byte arrived within the first_byte timeout";
      case Error::kReadIdleTimeout: return "nothing was received for the read_idle timeout";
      case Error::kWriteIdleTimeout: return "nothing was sent for the write_idle timeout";
      case Error::kWriteStallTimeout:
        return "the peer accepted none of the waiting output for the write_stall timeout";
      case Error::kIdleTimeout: return "nothing was received or sent for the idle timeout";
      case Error::kLifetimeTimeout: return "the connection was open for its max_lifetime";
      case Error::kMessageTooLong: return "a message longer than the limit of its codec";
      case Error::kMalformedMessage: return "not a message of the kind that the codec knows";
      case Error::kTruncatedMessage: return "the stream ended in the middle of a message";
    }
    return "unknown pollard error";
  }

  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    const bool limit = value >= static_cast<int>(Error::kFirstByteTimeout) &&
                       value <= static_cast<int>(Error::kLifetimeTimeout);
    return limit ? std::make_error_condition(std::errc::timed_out)
                 : std::error_condition(value, *this);
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category only;
  return only;
}

std::error_code make_error_code(Error error) noexcept {
  return {static_cast<int>(error), error_category()};
}

}  // namespace pollard
