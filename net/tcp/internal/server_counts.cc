#include "pollard/net/tcp/internal/server_counts.h"

#include <algorithm>
#include <utility>

namespace pollard {
namespace {

void add(const AcceptorGroup& group, TcpServerStats& sum) {
  for (const auto& acceptor : group.acceptors()) {
    const AcceptCounts& counts = acceptor->counts();
    sum.accepted += counts.accepted.get();
    sum.rejected_no_descriptors += counts.rejected_no_descriptors.get();
    sum.aborted += counts.aborted.get();
    sum.accept_pauses += counts.pauses.get();
    sum.listen_failures += counts.listen_failures.get();
  }
}

void add(const ConnectionGroup& group, TcpServerStats& sum) {
  const ConnectionStats& counts = group.counts();
  sum.failed += counts.failed.get();
  sum.bytes_received += counts.bytes_received.get();
  sum.bytes_sent += counts.bytes_sent.get();
  sum.sends_dropped += counts.sends_dropped.load();
  for (std::size_t i = 0; i < sum.closed.size(); ++i) sum.closed[i] += counts.closed[i].get();
}

}  // namespace

ServerCounts::Source::Source(ServerCounts& counts, const AcceptorGroup& acceptors)
    : counts_(counts), acceptors_(&acceptors) {
  counts_.insert(*this);
}

ServerCounts::Source::Source(ServerCounts& counts, const ConnectionGroup& group)
    : counts_(counts), group_(&group) {
  counts_.insert(*this);
}

ServerCounts::Source::~Source() {
  const std::lock_guard lock(counts_.mutex_);
  add_to(counts_.past_);
  std::erase(counts_.sources_, this);
}

void ServerCounts::Source::add_to(TcpServerStats& sum) const {
  if (acceptors_ != nullptr) add(*acceptors_, sum);
  if (group_ != nullptr) add(*group_, sum);
}

void ServerCounts::insert(Source& source) {
  const std::lock_guard lock(mutex_);
  sources_.push_back(&source);
}

void ServerCounts::set_admissions(std::shared_ptr<const Admissions> admissions) {
  const std::lock_guard lock(mutex_);
  admissions_.swap(admissions);
}

std::size_t ServerCounts::open() const {
  const std::lock_guard lock(mutex_);
  return admissions_ == nullptr ? 0 : admissions_->count();
}

TcpServerStats ServerCounts::total() const {
  const std::lock_guard lock(mutex_);
  TcpServerStats all = past_;
  for (const Source* source : sources_) source->add_to(all);
  all.refused = refused_.load(std::memory_order_relaxed);
  all.open = admissions_ == nullptr ? 0 : admissions_->count();
  return all;
}

}  // namespace pollard
