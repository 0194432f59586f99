// The floor for select: bitmaps, and nothing around them. They grow past FD_SETSIZE, which Linux
// allows.
#include <sys/select.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <climits>
#include <vector>

#include "support/echo.h"
#include "support/report.h"
#include "support/server_options.h"
#include "support/sockets.h"

namespace {

using bench::Step;

class DescriptorSet {
 public:
  using Word = unsigned long;
  static constexpr int kWordBits = sizeof(Word) * CHAR_BIT;

  void insert(int fd) {
    if (word_of(fd) >= words_.size()) words_.resize(word_of(fd) + 1);
    words_[word_of(fd)] |= bit_of(fd);
  }
  void erase(int fd) {
    if (word_of(fd) < words_.size()) words_[word_of(fd)] &= ~bit_of(fd);
  }
  [[nodiscard]] bool contains(int fd) const {
    return word_of(fd) < words_.size() && (words_[word_of(fd)] & bit_of(fd)) != 0;
  }
  void resize(std::size_t count) { words_.resize(count); }
  [[nodiscard]] const std::vector<Word>& words() const { return words_; }
  [[nodiscard]] fd_set* native() { return reinterpret_cast<fd_set*>(words_.data()); }

 private:
  static std::size_t word_of(int fd) { return static_cast<std::size_t>(fd / kWordBits); }
  static Word bit_of(int fd) { return Word{1} << static_cast<unsigned>(fd % kWordBits); }

  std::vector<Word> words_;
};

class Server {
 public:
  explicit Server(const bench::ServerOptions& options)
      : echo_(options.buffer_bytes), listener_(bench::listen_on_loopback(options.port)) {
    watch(listener_);
    watch(stop_);
    bench::announce(bench::port_of(listener_));
  }

  void run() {
    while (!stopping_) {
      want_write_.resize(want_read_.words().size());
      readable_ = want_read_;
      writable_ = want_write_;
      const int ready =
          select(highest_ + 1, readable_.native(), writable_.native(), nullptr, nullptr);
      if (ready < 0 && errno != EINTR) bench::die("select");
      if (ready > 0) handle_all();
    }
    bench::report(echo_.counts());
  }

 private:
  void handle_all() {
    for (std::size_t at = 0; at < readable_.words().size(); ++at) {
      DescriptorSet::Word left = readable_.words()[at] | writable_.words()[at];
      for (; left != 0; left &= left - 1) {
        handle(static_cast<int>(at) * DescriptorSet::kWordBits + std::countr_zero(left));
      }
    }
  }

  void handle(int fd) {
    if (fd == listener_) return accept();
    if (fd == stop_) {
      stopping_ = true;
      return;
    }
    const bool flushes = writable_.contains(fd);
    const Step step = flushes ? echo_.flush(fd) : echo_.receive(fd);
    if (step == Step::kEnded) return end(fd);
    if (step == Step::kBlocked) {
      want_read_.erase(fd);
      want_write_.insert(fd);
    } else if (flushes) {
      want_write_.erase(fd);
      want_read_.insert(fd);
    }
  }

  void accept() {
    const int socket = bench::accept_one(listener_);
    if (socket < 0) return;
    ++echo_.counts().accepted;
    watch(socket);
  }

  void watch(int fd) {
    want_read_.insert(fd);
    highest_ = std::max(highest_, fd);
  }

  void end(int socket) {
    echo_.forget(socket);
    want_read_.erase(socket);
    want_write_.erase(socket);
    close(socket);
    while (highest_ > 0 && !want_read_.contains(highest_) && !want_write_.contains(highest_)) {
      --highest_;
    }
  }

  bench::Echo echo_;
  DescriptorSet want_read_;
  DescriptorSet want_write_;
  DescriptorSet readable_;
  DescriptorSet writable_;
  int highest_ = 0;
  int listener_;
  int stop_ = bench::stop_descriptor();
  bool stopping_ = false;
};

}  // namespace

int main(int argc, char** argv) { Server(bench::read_server_options(argc, argv)).run(); }
