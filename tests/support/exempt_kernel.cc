#include "pollard/tests/support/exempt_kernel.h"

namespace pollard::testing {
namespace {

using platform::SystemCalls;

// An entry of the table in which no allocation fails or counts.
template <auto Entry>
struct ByTheKernel;
template <class Result, class... Arguments, Result (*SystemCalls::*Entry)(Arguments...)>
struct ByTheKernel<Entry> {
  static Result call(Arguments... arguments) {
    const std::uint64_t left = exchange_allocations_left(0);
    const Result result = next(arguments...);
    exchange_allocations_left(left);
    return result;
  }
  static void put_into(SystemCalls& table) {
    next = table.*Entry;
    table.*Entry = call;
  }
  static inline Result (*next)(Arguments...) = nullptr;
};

SystemCalls exempted(SystemCalls table) {
  ByTheKernel<&SystemCalls::epoll_create1>::put_into(table);
  ByTheKernel<&SystemCalls::epoll_ctl>::put_into(table);
  ByTheKernel<&SystemCalls::epoll_wait>::put_into(table);
  ByTheKernel<&SystemCalls::epoll_pwait2>::put_into(table);
  ByTheKernel<&SystemCalls::kqueue>::put_into(table);
  ByTheKernel<&SystemCalls::kevent>::put_into(table);
  ByTheKernel<&SystemCalls::poll>::put_into(table);
  ByTheKernel<&SystemCalls::ppoll>::put_into(table);
  ByTheKernel<&SystemCalls::pselect>::put_into(table);
  ByTheKernel<&SystemCalls::fcntl>::put_into(table);
  ByTheKernel<&SystemCalls::read>::put_into(table);
  ByTheKernel<&SystemCalls::write>::put_into(table);
  ByTheKernel<&SystemCalls::close>::put_into(table);
  ByTheKernel<&SystemCalls::clock_gettime>::put_into(table);
  return table;
}

}  // namespace

ExemptKernel::ExemptKernel() : table_(exempted(platform::system_calls())), installed_(table_) {}

}  // namespace pollard::testing
