// The last moments of a connection: what it owes to whom, when sending fails, when it is forced,
// when the loop ends under it, and what it must not keep.
#include <string>
#include <thread>
#include <utility>

#include "pollard/base/error.h"
#include "pollard/tests/support/connected.h"

namespace pollard::testing {
namespace {

POLLARD_EACH_BACKEND_AND_TRIGGER(a_paused_connection_whose_output_fails_ends) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    input.clear();
    it->pause_reading();  // and nobody will resume: on_write_complete can't come
    BOOST_TEST(!it->send(std::string(16U << 20U, 'x')));
  };
  one.open();
  one.say("ask");
  one.until([&] { return one.connection->unsent() > 0; });
  one.reset_peer();
  one.until_closed();
  BOOST_TEST(one.journal.count("disconnect error: Connection reset by peer") +
                 one.journal.count("disconnect error: Broken pipe") ==
             1U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(force_close_drops_what_its_handler_has_sent) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    BOOST_TEST(!it->send(input));
    BOOST_TEST(!it->send("secret"));
    it->force_close();
  };
  one.open();
  one.say("ask");
  one.until_closed();
  BOOST_TEST(one.hear_to_the_end() == "");
  BOOST_TEST(one.journal.text() == "connect, disconnect local");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(what_a_worker_has_sent_leaves_before_the_end) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    input.clear();
    // In place before the end of the peer's stream is read, and on its way when it is.
    std::thread([it] { BOOST_TEST(!it->send("the worker's answer")); }).join();
  };
  one.open();
  write_text(one.peer.get(), "question");
  one.end_peer();
  BOOST_TEST(one.hear_to_the_end() == "the worker's answer");
  one.until_closed();
  BOOST_TEST(one.journal.text() == "connect, disconnect peer");
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_file_larger_than_the_limit_of_output_is_sent) {
  Connected one(backend);
  one.options.output_limit = 100'000;
  one.options.high_water = 50'000;
  one.open();
  const std::string content = pattern(8U << 20U);
  BOOST_TEST(!one.connection->send_file({temporary_file(content), 0, content.size()}));
  BOOST_TEST((one.hear(content.size()) == content));
  BOOST_TEST(!one.journal.has("high water"));
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_high_water_below_the_usual_low_one_is_no_mistake) {
  Connected one(backend);
  one.options.high_water = 4096;
  one.open();
  BOOST_TEST(!one.connection->send(std::string(8U << 20U, 'x')));
  BOOST_TEST(one.hear(8U << 20U).size() == 8U << 20U);
  one.until([&] { return one.journal.has("low water"); });
}

POLLARD_EACH_BACKEND_AND_TRIGGER(a_refused_send_of_the_input_leaves_nothing_to_hoard) {
  Connected one(backend);
  one.handlers.on_message = [](const TcpConnectionPtr& it, Buffer& input) {
    static_cast<void>(it->send(input));
    it->shutdown();
  };
  one.open();
  one.say("first");
  BOOST_TEST(one.hear_to_the_end() == "first");
  one.say(std::string(1U << 20U, 'x'));
  run_until_idle(one.loop);
  BOOST_TEST(one.connection->buffer_memory() == 0U);
}

POLLARD_EACH_BACKEND_AND_TRIGGER(the_loop_can_be_asked_for_in_the_last_handlers_when_it_ends) {
  bool told = false;
  bool called = false;
  TcpConnectionPtr kept;
  {
    Connected one(backend);
    one.handlers.on_disconnect = [&](const TcpConnectionPtr& it, const DisconnectReason& reason) {
      told = reason.error == Error::kLoopClosed;
      it->loop().stop();
      it->add_close_callback([&] { called = true; });
      BOOST_TEST(!called, "on_disconnect is not over");
    };
    one.open();
    kept = one.connection;
  }
  BOOST_TEST(told);
  BOOST_TEST(called);
  BOOST_TEST(kept->send("too late").value() != 0);
}

// A server that a channel's handler holds, say, and the channel is destroyed.
POLLARD_EACH_BACKEND_AND_TRIGGER(what_a_turns_end_destroys_takes_its_connections_along_at_once) {
  struct Owner {
    explicit Owner(std::shared_ptr<ConnectionGroup> owned) : group(std::move(owned)) {}
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    ~Owner() { group->close_all({}); }
    std::shared_ptr<ConnectionGroup> group;
  };
  Connected one(backend);
  one.open();
  std::uint64_t retired_in = 0;
  std::uint64_t ended_in = 0;
  one.connection->context() =
      std::shared_ptr<void>(nullptr, [&](const void*) { ended_in = one.loop.stats().iterations; });
  one.connection.reset();
  one.loop.post([&] {
    retired_in = one.loop.stats().iterations;
    one.loop.retire([owner = std::make_shared<Owner>(one.group)] {});
  });
  const Timer stop = one.loop.after(5ms, [&] { one.loop.stop(); });
  one.loop.run();
  BOOST_TEST(ended_in == retired_in);
}

}  // namespace
}  // namespace pollard::testing
