// epoll(7) as Linux has it. A set is a list of items that may be ready: an item joins it when its
// file changes in a way that it asked for, and each wait asks the files on the list again. With
// EPOLLET an item then leaves until the next change; without, it goes to the end of the list for as
// long as there is something to report.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <utility>

#include "pollard/testkit/sim/file.h"

namespace pollard::sim {

class EpollFile final : public File {
 public:
  using File::File;
  ~EpollFile() override;

  [[nodiscard]] std::string describe() const override { return "epoll"; }
  std::uint32_t poll() override;
  FilterState read_filter() override;
  FilterState write_filter() override { return {}; }

  /// epoll_ctl(2) for an open descriptor and its file.
  int control(int operation, int fd, File& file, const platform::EpollEvent* event);

  /// What is ready now, up to the room there is; how much.
  int collect(std::span<platform::EpollEvent> events);

  /// Whether this set watches that file, directly or through other sets.
  [[nodiscard]] bool reaches(const File& file) const;

 private:
  // An item belongs to a descriptor's number and its file together: a number that is used again
  // for another file is another item.
  using Key = std::pair<int, File*>;

  class Item final : public Watcher {
   public:
    Item(EpollFile& set, Key item_key) : set_(set), key(item_key) { key.second->watch(*this); }
    ~Item() { key.second->unwatch(*this); }
    Item(const Item&) = delete;
    Item& operator=(const Item&) = delete;

    void changed(const Change& change) override;
    void descriptor_closed(int) override {}
    void file_closed() override { set_.remove(key); }

    /// What is to be reported now.
    [[nodiscard]] std::uint32_t ready() const;

   private:
    EpollFile& set_;

   public:
    Key key;
    std::uint32_t wanted = 0;
    platform::EpollEvent event{};
    bool listed = false;
  };

  int add(Key key, const platform::EpollEvent& event);
  int modify(Item& item, const platform::EpollEvent& event);
  void remove(Key key);
  void list(Item& item);
  void closed() override;

  std::map<Key, std::unique_ptr<Item>> items_;
  std::deque<Item*> ready_;
};

}  // namespace pollard::sim
