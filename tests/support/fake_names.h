// A name service of the test's own, in the place of getaddrinfo(3): it knows what it was told,
// takes as long as it is told, and counts who asks. No test depends on the machine's DNS.
//
//   Faults faults;
//   FakeNames names(faults);
//   names.know("two.example", {first, second});
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "pollard/net/names/address.h"
#include "pollard/testkit/faults.h"

namespace pollard::testing {

/// In force until `faults` ends. Before that, whoever is inside a lookup has to come out: the
/// destructor lets them all go, and waits for those who were left behind. Any thread.
class FakeNames {
 public:
  explicit FakeNames(Faults& faults);
  ~FakeNames();
  FakeNames(const FakeNames&) = delete;
  FakeNames& operator=(const FakeNames&) = delete;

  /// What `host` is from now on, ports included: several listeners of one machine stand for several
  /// machines.
  void know(const std::string& host, std::vector<Address> addresses);

  /// From now on a lookup answers with this number, as the entry of the table does.
  void fail(const std::string& host, int answer);

  /// From now on lookups of anything take until release().
  void hold();
  void release();
  /// Ends the next lookup of this host, or the one that is held.
  void let_one_go(const std::string& host);

  /// How many lookups of it have begun, and of everything how many are being held.
  [[nodiscard]] std::size_t asked(const std::string& host) const;
  [[nodiscard]] std::size_t held() const;
  /// Of everything, in the order in which they began.
  [[nodiscard]] std::vector<std::string> asked_in_order() const;
  /// Answers that were handed out and not given back (freeaddrinfo).
  [[nodiscard]] std::size_t unfreed() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pollard::testing
