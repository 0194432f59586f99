// Posts to our loop.
#include <utility>

#include "pollard/net/loop/event_loop.h"
#include "posts/posts.h"

namespace {

class Loop {
 public:
  template <class Task>
  void post(Task task) {
    loop_.post(std::move(task));
  }
  void run() { loop_.run(); }
  void stop() { loop_.stop(); }

 private:
  pollard::EventLoop loop_;
};

}  // namespace

int main(int argc, char** argv) { return bench::main_of<Loop>(argc, argv); }
