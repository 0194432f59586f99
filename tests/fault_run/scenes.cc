#include "pollard/tests/fault_run/scenes.h"

#include <array>

#include "pollard/tests/fault_run/scenes/all.h"

namespace pollard::fault_run {
namespace {

constexpr auto kScenes = std::to_array<Scene>({
    {"address_race", "the second address of a name is tried while the first keeps silent",
     play_address_race, true},
    {"channel", "a channel watches a pipe", play_channel},
    {"client", "a client asks, gets its answer, and disconnects", play_client},
    {"client_gone", "clients are destroyed while they connect, and when they have connected",
     play_client_gone},
    {"connector", "one connector reaches its server, another one is refused", play_connector},
    {"file", "a server sends a file between two texts", play_file},
    {"forced_end", "a server closes its connection in the middle of a long answer",
     play_forced_end},
    {"framing", "messages with a length in front of them come back whole", play_framing},
    {"full_server", "a second peer waits until the first has left a server for one",
     play_full_server},
    {"graceful_stop", "a server that stops gracefully sends the rest of a long answer",
     play_graceful_stop},
    {"half_close", "a peer ends its stream, and then gets a long answer", play_half_close},
    {"high_water", "a server stops reading while its output is above the high water",
     play_high_water},
    {"loops", "a server with two loops of its own serves four peers", play_loops, true},
    {"pausing", "a handler pauses reading at each message, and a timer resumes it", play_pausing},
    {"posts", "another thread posts tasks to a loop, and runs some and waits", play_posts, true},
    {"reconnecting_client", "a client whose server ends the first connection connects again",
     play_reconnecting_client},
    {"relay", "what comes from a peer goes to another one, and back", play_relay},
    {"reset", "a peer resets its connection in the middle of a long answer", play_reset},
    {"resolver", "three lookups of two names are answered once each, a cancelled one never",
     play_resolver, true},
    {"restarted_server", "a server stops with open connections, and starts again at its address",
     play_restarted_server},
    {"server", "two peers talk to an echo server, and end their streams", play_server},
    {"signals", "two signals are watched, and each is reported", play_signals},
    {"time_limits", "a silent peer is closed, and one that talks is not", play_time_limits},
    {"timers", "timers run in order, are cancelled, and repeat", play_timers},
    {"unix_socket", "a server at a path of the file system echoes, and removes the path",
     play_unix_socket},
    {"workers", "handlers on workers answer lines", play_workers, true},
});

}  // namespace

std::span<const Scene> scenes() { return kScenes; }

}  // namespace pollard::fault_run
