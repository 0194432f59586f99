#include "pollard/net/loop/channel.h"

#include <chrono>
#include <string>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/system_calls.h"
#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {

using namespace std::chrono_literals;

void play_channel(Stage& stage) {
  int ends[2] = {-1, -1};
  {
    const Truce truce;
    const int made = platform::system_calls().pipe(ends);
    stage.require(made == 0, "no pipe");
  }
  const platform::Descriptor in(ends[0]);
  const platform::Descriptor out(ends[1]);
  std::string heard;
  int broken = 0;
  Channel reader(stage.loop(), in.get(), Interest::kRead, [&](Readiness) {
    char bytes[100];
    const std::ptrdiff_t got = platform::system_calls().read(in.get(), bytes, sizeof bytes);
    if (got > 0) heard.append(bytes, static_cast<std::size_t>(got));
    if (got < 0 && got != -EINTR && got != -EAGAIN) ++broken;
  });
  for (const std::string_view word : {"one", "two"}) {
    const std::size_t wanted = heard.size() + word.size();
    {
      const Truce truce;
      static_cast<void>(platform::system_calls().write(out.get(), word.data(), word.size()));
    }
    const MonotonicTime patience = stage.kernel().now() + 20s;
    stage.until("a word", [&] {
      return heard.size() >= wanted || broken > 0 ||
             (!stage.unharmed() && stage.kernel().now() > patience);
    });
    reader.set_interest(Interest::kNone);
    stage.turn();
    reader.set_interest(Interest::kRead);
  }
  stage.require_unharmed(heard == "onetwo", "a channel misses what was written");
}

}  // namespace pollard::fault_run
