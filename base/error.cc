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
      case Error::kLoopGone: return "the event loop has ended";
      case Error::kNotConnected: return "the connection no longer sends";
    }
    return "unknown pollard error";
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
