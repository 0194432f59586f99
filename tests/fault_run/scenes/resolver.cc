#include "pollard/net/names/resolver.h"

#include <vector>

#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

void play_resolver(Stage& stage) {
  stage.know({Address::loopback(80)});
  Resolver resolver;
  int answers = 0;
  int found = 0;
  int cancelled = 0;
  const auto count = [&](std::error_code error, const std::vector<Address>& addresses) {
    ++answers;
    if (!error) ++found;
    stage.require(error || addresses.size() == 1, "a lookup answers with the wrong addresses");
  };
  const Lookup one = resolver.resolve(stage.loop(), HostPort("one.example:80"), count);
  const Lookup same = resolver.resolve(stage.loop(), HostPort("one.example:80"), count);
  const Lookup other = resolver.resolve(stage.loop(), HostPort("other.example:80"), count);
  Lookup never = resolver.resolve(stage.loop(), HostPort("never.example:80"),
                                  [&](std::error_code, const auto&) { ++cancelled; });
  never.cancel();
  stage.until("the answers", [&] { return answers >= 3; });
  stage.require(answers == 3, "a lookup is answered twice");
  stage.require(cancelled == 0, "a cancelled lookup is answered");
  stage.require_unharmed(found == 3, "a name wasn't found");
}

}  // namespace pollard::fault_run
