#include "pollard/tests/chaos/plan.h"

#include <algorithm>
#include <chrono>

namespace pollard::chaos {

using namespace std::chrono_literals;

namespace {

// None in every third run, else up to `most`.
double chance(Dice& dice, double most) {
  if (dice.one_in(3)) return 0;
  return most * static_cast<double>(dice.up_to(1000)) / 1000;
}

sim::FaultChances draw_harmless(Dice& dice) {
  sim::FaultChances chances;
  chances.interrupted = chance(dice, 0.2);
  chances.short_read = chance(dice, 0.4);
  chances.short_write = chance(dice, 0.4);
  chances.full_buffer = chance(dice, 0.2);
  chances.spurious_event = chance(dice, 0.2);
  chances.stale_event = chance(dice, 0.1);
  chances.reordered = chance(dice, 0.5);
  chances.small_batch = chance(dice, 0.3);
  chances.stall = chance(dice, 0.05);
  chances.clock_jump = chance(dice, 0.1);
  chances.taken_number = chance(dice, 0.3);
  return chances;
}

void add_harmful(Dice& dice, sim::FaultChances& chances) {
  chances.process_limit = chance(dice, 0.2);
  chances.system_limit = chance(dice, 0.1);
  chances.no_buffers = chance(dice, 0.02);
  chances.no_memory = chance(dice, 0.02);
  chances.aborted_accept = chance(dice, 0.2);
  chances.reset = chance(dice, 0.02);
}

void draw_connection(Dice& dice, Plan& plan) {
  ConnectionOptions& options = plan.connection;
  options.trigger = dice.one_in(3) ? TriggerChoice::kLevel : TriggerChoice::kBest;
  options.no_delay = !dice.one_in(4);
  options.keep_alive = dice.one_in(4);
  if (dice.one_in(2)) {
    options.high_water = 1 + dice.skewed(20'000U);
    options.low_water = dice.up_to(options.high_water);
  }
  options.pause_reading_when_full = dice.one_in(3);
  if (dice.one_in(3)) options.send_buffer_bytes = static_cast<int>(2048 + dice.skewed(30'000U));
  if (dice.one_in(3)) options.receive_buffer_bytes = static_cast<int>(2048 + dice.skewed(30'000U));
  if (!plan.calm && dice.one_in(4)) options.output_limit = 1000 + dice.skewed(50'000U);
  if (!plan.calm && dice.one_in(4)) options.input_limit = 1000 + dice.skewed(50'000U);
}

void draw_server(Dice& dice, Plan& plan) {
  if (dice.one_in(3)) {
    plan.server.max_connections = 1 + dice.up_to(3U);
    plan.server.when_full = plan.calm || dice.one_in(2) ? WhenFull::kWait : WhenFull::kRefuse;
  }
  plan.server.listen.backlog =
      !plan.calm && dice.one_in(3) ? 1 + static_cast<int>(dice.up_to(4)) : 128;
  plan.server_hears_peer_end = dice.one_in(2);
  plan.restart_server = !plan.calm && dice.one_in(4);
  plan.end_gracefully = dice.one_in(2);
  plan.ipv6 = dice.one_in(4);
}

void draw_clients(Dice& dice, Plan& plan) {
  plan.clients = 1 + dice.skewed(7U);
  plan.lives = 1 + dice.skewed(3U);
  plan.stream_bytes = dice.one_in(6) ? 30'000 + dice.up_to(150'000U) : dice.skewed(8'000U);
  plan.message_bytes = 1 + (dice.one_in(4) ? dice.skewed(70'000U) : dice.skewed(3'000U));
  plan.client_hears_peer_end = dice.one_in(2);
  if (dice.one_in(2)) plan.pauses = 2 + dice.up_to(10U);
  if (dice.one_in(3)) plan.afar = 2 + dice.up_to(10U);
  if (dice.one_in(2)) plan.connectors = dice.up_to(2U);
  if (dice.one_in(2)) plan.timers = dice.up_to(6U);
  if (!plan.calm) plan.violence = 4 + dice.up_to(30U);
}

}  // namespace

Plan draw_plan(Dice& dice) {
  Plan plan;
  plan.calm = dice.one_in(2);
  draw_connection(dice, plan);
  draw_server(dice, plan);
  draw_clients(dice, plan);
  if (dice.one_in(2)) plan.latency = std::chrono::microseconds(dice.skewed(5'000U));
  plan.kernel_buffer = dice.one_in(3) ? 4096 + dice.skewed(20'000U) : 65536;
  if (!dice.one_in(5)) plan.faults = draw_harmless(dice);
  if (!plan.calm) add_harmful(dice, plan.faults);
  plan.fault_calls = 100 + dice.skewed(2'000U);
  return plan;
}

sim::FaultChances harmless(const sim::FaultChances& chances) {
  sim::FaultChances left = chances;
  left.process_limit = left.system_limit = 0;
  left.no_buffers = left.no_memory = 0;
  left.aborted_accept = left.reset = 0;
  return left;
}

}  // namespace pollard::chaos
