#include "pollard/net/requests/request_writer.h"

#include "pollard/net/requests/request_connection.h"
#include "pollard/platform/time.h"

namespace pollard {

void RequestWriter::flush() { connection_.flush_output(); }

WaitResult RequestWriter::flush(MonotonicTime deadline) {
  return connection_.await_output(deadline);
}

WaitResult RequestWriter::flush(Duration limit) {
  return flush(saturating_add(platform::monotonic_now(), limit));
}

}  // namespace pollard
