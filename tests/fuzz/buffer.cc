#include "pollard/net/bytes/buffer.h"

#include <string>
#include <utility>

#include "pollard/base/assert.h"
#include "pollard/tests/fuzz/script.h"

namespace pollard::fuzz {
namespace {

// A Buffer, and a string to which the same was done.
class Pair {
 public:
  void step(Script& script) {
    switch (script.next() % 10) {
      case 0: return append(script.next_text(script.next()));
      case 1: return append(std::string(script.next_size(), static_cast<char>(script.next())));
      case 2: return consume(script.next_size());
      case 3: return take(script.next_size());
      case 4: return borrow(script.next_text(script.next()));
      case 5: return buffer_.own();
      case 6: return fill(script.next_size(), script.next_text(script.next()));
      case 7: return move();
      case 8: return append_itself();
      default: return find(script.next_text(script.next() % 4U), script.next());
    }
  }

  void check() const {
    POLLARD_ASSERT(buffer_.view() == model_, "a Buffer holds what was put into it");
    POLLARD_ASSERT(buffer_.size() == model_.size() && buffer_.empty() == model_.empty(),
                   "it knows how much that is");
    POLLARD_ASSERT(!buffer_.empty() || buffer_.capacity() == 0, "empty, it holds no memory");
    POLLARD_ASSERT(buffer_.borrows() || buffer_.capacity() >= buffer_.size(),
                   "what isn't borrowed lies in its own memory");
  }

 private:
  void append(std::string_view more) {
    buffer_.append(more);
    model_ += more;
  }
  void consume(std::size_t count) {
    count = std::min(count, model_.size());
    buffer_.consume(count);
    model_.erase(0, count);
  }
  void take(std::size_t count) {
    count = std::min(count, model_.size());
    POLLARD_ASSERT(buffer_.take(count) == model_.substr(0, count), "take() hands out the front");
    model_.erase(0, count);
  }
  void borrow(std::string_view text) {
    lent_ = text;
    buffer_.borrow(std::as_bytes(std::span(lent_)));
    model_ = lent_;
  }
  void fill(std::size_t room, std::string_view text) {
    const std::span<std::byte> space = buffer_.reserve(room);
    POLLARD_ASSERT(space.size() >= room, "reserve() gives what was asked for");
    const std::size_t count = std::min(text.size(), space.size());
    std::copy_n(std::as_bytes(std::span(text)).begin(), count, space.begin());
    buffer_.commit(count);
    model_ += text.substr(0, count);
  }
  void move() {
    Buffer other(std::move(buffer_));
    POLLARD_ASSERT(!other.borrows(), "what was moved owns its bytes");
    buffer_ = std::move(other);
  }
  void append_itself() {
    constexpr std::size_t kMost = 100'000;
    if (model_.size() > kMost) return;
    buffer_.append(buffer_.view());
    model_ += std::string(model_);
  }
  void find(std::string_view what, std::size_t from) {
    const std::size_t at = model_.find(what, from);
    const auto found = buffer_.find(what, from);
    POLLARD_ASSERT(found.value_or(std::string::npos) == at, "find() finds the first");
  }

  Buffer buffer_;
  std::string model_;
  std::string lent_;
};

}  // namespace

void fuzz_buffer(Bytes bytes) {
  Script script(bytes);
  Pair pair;
  while (!script.over()) {
    pair.step(script);
    pair.check();
  }
}

}  // namespace pollard::fuzz
