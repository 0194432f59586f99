// Posts to Asio's context.
#include <asio.hpp>
#include <utility>

#include "posts/posts.h"

namespace {

class Loop {
 public:
  template <class Task>
  void post(Task task) {
    asio::post(context_, std::move(task));
  }
  void run() {
    const auto staying = asio::make_work_guard(context_);
    context_.run();
  }
  void stop() { context_.stop(); }

 private:
  asio::io_context context_;  // which other threads use, so it locks
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Loop>(argc, argv); }
