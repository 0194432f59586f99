// A poller as the kit sees it: the public face of Poller, each operation virtual, so that a wrapper
// can stand between the kit and a poller. That is how the kit's own tests break one promise after
// the other, and how something that isn't derived from Poller can be put to the test.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include "pollard/poller/poller.h"

namespace pollard::conformance {

/// What each operation means is written at the operation of the same name of Poller.
class Driven {
 public:
  virtual ~Driven();

  /// As that of Poller.
  ///@{
  [[nodiscard]] virtual std::error_code add(int fd, Interest interest, Token token,
                                            Trigger trigger) = 0;
  [[nodiscard]] virtual std::error_code modify(int fd, Interest interest) = 0;
  virtual std::error_code remove(int fd) = 0;
  virtual std::error_code remove_before_close(int fd) = 0;
  [[nodiscard]] virtual std::error_code wait(std::optional<Duration> timeout) = 0;
  [[nodiscard]] virtual bool next(Event& event) = 0;
  [[nodiscard]] virtual bool has_ready() const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
  [[nodiscard]] virtual Duration resolution() const = 0;
  [[nodiscard]] virtual PollerCapabilities capabilities() const = 0;
  ///@}
};

/// Hands every operation on to `poller`, which it owns.
class DrivenPoller : public Driven {
 public:
  /// One that is derived from Poller.
  explicit DrivenPoller(std::unique_ptr<Poller> poller);

  [[nodiscard]] std::error_code add(int fd, Interest interest, Token token,
                                    Trigger trigger) override;
  [[nodiscard]] std::error_code modify(int fd, Interest interest) override;
  std::error_code remove(int fd) override;
  std::error_code remove_before_close(int fd) override;
  [[nodiscard]] std::error_code wait(std::optional<Duration> timeout) override;
  [[nodiscard]] bool next(Event& event) override;
  [[nodiscard]] bool has_ready() const override;
  [[nodiscard]] std::size_t size() const override;
  [[nodiscard]] Duration resolution() const override;
  [[nodiscard]] PollerCapabilities capabilities() const override;

 private:
  std::unique_ptr<Poller> poller_;
};

}  // namespace pollard::conformance
