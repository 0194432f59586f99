#include "pollard/testkit/sim/profile.h"

#include <algorithm>
#include <array>

namespace pollard::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::array<std::string_view, 5> kNames = {"linux", "freebsd", "netbsd", "openbsd",
                                                    "darwin"};

// What the four systems with kqueue have in common, against Linux.
Profile with_kqueue(std::string_view name) {
  Profile profile;
  profile.name = name;
  profile.has_epoll = false;
  profile.loopback_delay = microseconds(20);        // the interface's queue: run on NetBSD
  profile.buffer_factor = 1;                        // setsockopt(2) of each
  profile.writable_from = WritableFrom::kLowWater;  // sowriteable(): sys/socketvar.h of each
  profile.accept_inherits_flags = true;             // run on NetBSD; accept(2) of FreeBSD
  profile.accept_reports_aborted = true;            // run on NetBSD; accept(2) of each
  profile.connect_again_tells_success = false;      // run on NetBSD; soconnect() of each
  profile.reset_after_end_is_epipe = false;         // run on NetBSD
  profile.has_poll_peer_end = false;                // <sys/poll.h> of each but FreeBSD
  profile.has_abstract_names = false;               // unix(4) of each
  profile.pipe_end_poll = PipeEndPoll::kHangup;     // pipe_poll() of each
  profile.shutdown_ends_listener = false;           // shutdown(2) of FreeBSD and macOS
  profile.balances_reuse_port = false;              // FreeBSD's SO_REUSEPORT_LB alone balances
  profile.unnamed_unix_size = 16;                   // uipc_usrreq.c of FreeBSD, OpenBSD, XNU
  profile.unix_buffer = 8192;                       // net.local.stream.sendspace of each
  profile.pipe_buffer = 16384;                      // PIPE_SIZE: sys/pipe.h of each
  return profile;
}

}  // namespace

Profile linux_system() { return {}; }

// Sources: FreeBSD 13's and main's kern_event.c, sys_pipe.c, uipc_socket.c; its manual pages.
Profile freebsd() {
  Profile profile = with_kqueue("freebsd");
  profile.close_with_unread_resets = false;                 // tcp_usrclosed()
  profile.tcp_send_buffer = 32768;                          // net.inet.tcp.sendspace
  profile.tcp_receive_buffer = 65536;                       // net.inet.tcp.recvspace
  profile.has_poll_peer_end = true;                         // poll(2)
  profile.balances_reuse_port = true;                       // SO_REUSEPORT_LB: setsockopt(2)
  profile.poll_hints = PollHints::kBothEnds;                // sopoll_generic()
  profile.readerless_pipe = ReaderlessPipe::kRefusedEpipe;  // pipe_kqfilter()
  profile.every_change_evaluates = true;                    // kqueue_register()
  return profile;
}

// Sources: a run on NetBSD 7.99.34's kernel, where nothing else is said.
Profile netbsd() {
  Profile profile = with_kqueue("netbsd");
  profile.tick = milliseconds(10);  // hz is 100
  profile.short_waits_end_early = true;
  profile.close_with_unread_resets = false;
  profile.full_queue_resets = true;
  profile.unnamed_unix_size = 2;
  profile.tcp_send_buffer = 32768;     // net.inet.tcp.sendspace
  profile.tcp_receive_buffer = 32768;  // net.inet.tcp.recvspace
  profile.poll_hints = PollHints::kNeverSocket;
  profile.readerless_pipe = ReaderlessPipe::kRefusedEbadf;
  profile.full_pipe_hides_reader_end = true;
  profile.every_change_evaluates = false;
  profile.listener_edge_after_accept = true;
  profile.pipe_edge_after_read = true;
  profile.edge_when_both_ends_shut = true;
  return profile;
}

// Sources: OpenBSD's kern_event.c, sys_pipe.c, uipc_socket.c and in6_pcb.c; its manual pages.
Profile openbsd() {
  Profile profile = with_kqueue("openbsd");
  profile.has_eventfd = false;                // no such call
  profile.tick = milliseconds(10);            // hz is 100
  profile.tcp_send_buffer = 16384;            // tcp_sendspace
  profile.tcp_receive_buffer = 16384;         // tcp_recvspace
  profile.close_with_unread_resets = false;   // tcp_dodisconnect()
  profile.ipv6_only_can_be_cleared = false;   // ip6_ctloutput()
  profile.poll_hints = PollHints::kBothEnds;  // filt_soread(), filt_sowrite() with poll's notes
  profile.readerless_pipe = ReaderlessPipe::kRefusedEpipe;  // pipe_kqfilter()
  profile.full_pipe_hides_reader_end = true;                // filt_pipewrite()
  profile.every_change_evaluates = false;                   // kqueue_register()
  return profile;
}

// Sources: XNU 11417's kern_event.c, sys_pipe.c, uipc_socket.c; its manual pages.
Profile darwin() {
  Profile profile = with_kqueue("darwin");
  profile.has_eventfd = false;  // none of these four calls is in <sys/...> of macOS
  profile.has_accept4 = false;
  profile.has_pipe2 = false;
  profile.has_ppoll = false;
  profile.close_with_unread_resets = true;              // tcp_close()
  profile.tcp_send_buffer = 131072;                     // net.inet.tcp.sendspace
  profile.tcp_receive_buffer = 131072;                  // net.inet.tcp.recvspace
  profile.poll_hints = PollHints::kBothEnds;            // sopoll()
  profile.readerless_pipe = ReaderlessPipe::kAccepted;  // pipe_kqfilter()
  profile.every_change_evaluates = true;                // kevent_register()
  return profile;
}

std::optional<Profile> profile_named(std::string_view name) {
  if (name == "linux") return linux_system();
  if (name == "freebsd") return freebsd();
  if (name == "netbsd") return netbsd();
  if (name == "openbsd") return openbsd();
  if (name == "darwin") return darwin();
  return std::nullopt;
}

std::span<const std::string_view> profile_names() { return kNames; }

}  // namespace pollard::sim
