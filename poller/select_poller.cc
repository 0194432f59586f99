// select(2), everywhere. Its grievances, and how this file answers them:
//
//   - FD_SETSIZE: 1024 in the headers, and FD_SET writes past its end or aborts. The bitmaps here
//     are our own and grow; the kernels take them. Where one doesn't, add() refuses the number.
//   - One closed descriptor fails the whole wait with EBADF and isn't named. It is searched for,
//     reported once with an error, and taken out.
//   - It knows readable and writable, and neither hang-up nor error. Nothing above needs the hints:
//     a refused connect is readable and writable, and SO_ERROR says the rest.
//   - Some kernels count time in ticks and may end a short wait a tick early. It is waited out.
//   - The sets are overwritten by each call: copied before it, which is cheaper than rebuilding
//     them.
//   - The cost goes by the highest number, ready or not. Whole words without a bit are skipped, and
//     what one call finds is handed out batch by batch, to the last, before the next call is made:
//     so low numbers have no privilege.
#include <algorithm>
#include <bit>
#include <vector>

#include "pollard/platform/descriptor.h"
#include "pollard/platform/select.h"
#include "pollard/platform/time.h"
#include "pollard/poller/backends.h"

namespace pollard {
namespace {

using platform::Result;
using platform::SelectWord;

constexpr std::size_t kWordBits = platform::kSelectWordBits;

class SelectPoller final : public Poller {
 public:
  SelectPoller() : Poller("select", kSelectCapabilities) {}

  [[nodiscard]] Duration resolution() const override {
    return platform::step_of_timeouts(Duration(1));
  }

 private:
  std::error_code apply(int fd, Interest from, Interest to) override {
    if (from == Interest::kNone) {
      // add() asks. What comes back is taken as it is: if it was closed, the wait will say so.
      if (!may_defer() && !platform::is_open(fd)) {
        return std::make_error_code(std::errc::bad_file_descriptor);
      }
      if (const std::error_code refused = ask(fd)) return refused;
    }
    set_bit(wanted_read_, fd, wants_read(to));
    set_bit(wanted_write_, fd, wants_write(to));
    forget_found(fd, to);
    const auto word = static_cast<std::size_t>(fd) / kWordBits;
    if (to != Interest::kNone) {
      words_ = std::max(words_, word + 1);
    } else {
      while (words_ > 0 && (wanted_read_[words_ - 1] | wanted_write_[words_ - 1]) == 0) --words_;
    }
    return {};
  }

  static void set_bit(std::vector<SelectWord>& bits, int fd, bool on) {
    const auto number = static_cast<std::size_t>(fd);
    const SelectWord mask = SelectWord{1} << (number % kWordBits);
    SelectWord& word = bits[number / kWordBits];
    word = on ? word | mask : word & ~mask;
  }

  // What was found is not for whom the number names next, and must not end a wait when nobody wants
  // it any more. What is wanted as before stays, or who changes often would never have its turn.
  void forget_found(int fd, Interest to) {
    if (static_cast<std::size_t>(fd) / kWordBits >= ready_read_.size()) return;
    if (!wants_read(to)) set_bit(ready_read_, fd, false);
    if (!wants_write(to)) set_bit(ready_write_, fd, false);
  }

  static std::size_t words_for(int fd) { return static_cast<std::size_t>(fd) / kWordBits + 1; }

  void reserve(int fd, std::size_t) override {
    const std::size_t needed = words_for(fd);
    if (needed <= unasked_.size()) return;
    for (auto* bits : {&ready_read_, &ready_write_}) {
      if (bits->capacity() < needed) bits->reserve(std::max(needed, 2 * bits->capacity()));
    }
    for (auto* bits : {&wanted_read_, &wanted_write_, &unasked_}) bits->resize(needed);
  }

  // Whether the kernel takes numbers that are so high.
  std::error_code ask(int fd) {
    const std::size_t needed = words_for(fd);
    if (needed <= known_words_) return {};
    const Result asked = platform::retry_interrupted([&] {
      return platform::select_descriptors(fd + 1, unasked_.data(), nullptr, nullptr,
                                          Duration::zero());
    });
    if (asked.is(std::errc::invalid_argument)) {
      return std::make_error_code(std::errc::too_many_files_open);
    }
    if (asked.ok()) known_words_ = needed;
    return asked.error();
  }

  Result collect(Duration timeout) override {
    if (next_ < ready_read_.size()) {
      scan();
      if (!found_nothing()) return Result(0);
    }
    const Result found = platform::wait_out(timeout, [&](Duration left) { return select(left); });
    next_ = found.ok() && found.count() > 0 ? 0 : ready_read_.size();
    if (found.is(std::errc::bad_file_descriptor)) return evict_closed(found);
    scan();
    return found;
  }

  Result select(Duration timeout) {
    ready_read_.assign(wanted_read_.begin(), wanted_read_.begin() + as_offset(words_));
    ready_write_.assign(wanted_write_.begin(), wanted_write_.begin() + as_offset(words_));
    return platform::select_descriptors(static_cast<int>(words_ * kWordBits), ready_read_.data(),
                                        ready_write_.data(), nullptr, timeout);
  }

  static std::ptrdiff_t as_offset(std::size_t words) { return static_cast<std::ptrdiff_t>(words); }

  // Whole words are served, so a batch may be exceeded by less than one.
  void scan() {
    for (; next_ < ready_read_.size() && !batch_full(); ++next_) {
      const SelectWord read = ready_read_[next_];
      const SelectWord write = ready_write_[next_];
      for (SelectWord either = read | write; either != 0; either &= either - 1) {
        const auto bit = static_cast<unsigned>(std::countr_zero(either));
        const unsigned readable = static_cast<unsigned>(read >> bit & 1) * kReadable;
        const unsigned writable = static_cast<unsigned>(write >> bit & 1) * kWritable;
        report(static_cast<int>(next_ * kWordBits + bit), readable | writable);
      }
    }
  }

  Result evict_closed(Result refused) {
    for_each_applied([&](int fd, Interest) {
      if (!batch_full() && !platform::is_open(fd)) evict(fd);
    });
    return found_nothing() ? refused : Result();
  }

  std::vector<SelectWord> wanted_read_;
  std::vector<SelectWord> wanted_write_;
  std::vector<SelectWord> ready_read_;
  std::vector<SelectWord> ready_write_;
  std::vector<SelectWord> unasked_;  // zeros
  std::size_t known_words_ = 0;      // that the kernel takes
  std::size_t words_ = 0;            // up to the highest that holds a bit
  std::size_t next_ = 0;             // the word of ready_… to look at next
};

}  // namespace

std::unique_ptr<Poller> make_select_poller() { return std::make_unique<SelectPoller>(); }

}  // namespace pollard
