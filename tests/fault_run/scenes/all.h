// The scenes of this folder, one in each file. scenes.cc says what each of them is about.
#pragma once

#include "pollard/tests/fault_run/stage.h"

namespace pollard::fault_run {

void play_address_race(Stage& stage);
void play_channel(Stage& stage);
void play_client(Stage& stage);
void play_client_gone(Stage& stage);
void play_connector(Stage& stage);
void play_file(Stage& stage);
void play_forced_end(Stage& stage);
void play_framing(Stage& stage);
void play_full_server(Stage& stage);
void play_graceful_stop(Stage& stage);
void play_half_close(Stage& stage);
void play_high_water(Stage& stage);
void play_loops(Stage& stage);
void play_pausing(Stage& stage);
void play_posts(Stage& stage);
void play_reconnecting_client(Stage& stage);
void play_relay(Stage& stage);
void play_reset(Stage& stage);
void play_resolver(Stage& stage);
void play_restarted_server(Stage& stage);
void play_server(Stage& stage);
void play_signals(Stage& stage);
void play_time_limits(Stage& stage);
void play_timers(Stage& stage);
void play_unix_socket(Stage& stage);
void play_workers(Stage& stage);

}  // namespace pollard::fault_run
