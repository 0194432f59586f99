#include "pollard/testkit/sim/errno_names.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "pollard/base/assert.h"

namespace pollard::sim {
namespace {

// A name that the header defines is replaced by its number before it becomes text; one that it
// doesn't define stays a name, which is no number.
constexpr int number_in(std::string_view text) {
  int number = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return 0;
    number = 10 * number + (digit - '0');
  }
  return number;
}

#define POLLARD_TEXT(errno_name) POLLARD_TEXT_OF(errno_name)
#define POLLARD_TEXT_OF(expanded) #expanded

// Linux's in the order of its numbers, then synonyms, then those of the BSDs and macOS.
constexpr ErrnoName kNames[] = {
    {number_in(POLLARD_TEXT(EPERM)), "EPERM"},
    {number_in(POLLARD_TEXT(ENOENT)), "ENOENT"},
    {number_in(POLLARD_TEXT(ESRCH)), "ESRCH"},
    {number_in(POLLARD_TEXT(EINTR)), "EINTR"},
    {number_in(POLLARD_TEXT(EIO)), "EIO"},
    {number_in(POLLARD_TEXT(ENXIO)), "ENXIO"},
    {number_in(POLLARD_TEXT(E2BIG)), "E2BIG"},
    {number_in(POLLARD_TEXT(ENOEXEC)), "ENOEXEC"},
    {number_in(POLLARD_TEXT(EBADF)), "EBADF"},
    {number_in(POLLARD_TEXT(ECHILD)), "ECHILD"},
    {number_in(POLLARD_TEXT(EAGAIN)), "EAGAIN"},
    {number_in(POLLARD_TEXT(ENOMEM)), "ENOMEM"},
    {number_in(POLLARD_TEXT(EACCES)), "EACCES"},
    {number_in(POLLARD_TEXT(EFAULT)), "EFAULT"},
    {number_in(POLLARD_TEXT(ENOTBLK)), "ENOTBLK"},
    {number_in(POLLARD_TEXT(EBUSY)), "EBUSY"},
    {number_in(POLLARD_TEXT(EEXIST)), "EEXIST"},
    {number_in(POLLARD_TEXT(EXDEV)), "EXDEV"},
    {number_in(POLLARD_TEXT(ENODEV)), "ENODEV"},
    {number_in(POLLARD_TEXT(ENOTDIR)), "ENOTDIR"},
    {number_in(POLLARD_TEXT(EISDIR)), "EISDIR"},
    {number_in(POLLARD_TEXT(EINVAL)), "EINVAL"},
    {number_in(POLLARD_TEXT(ENFILE)), "ENFILE"},
    {number_in(POLLARD_TEXT(EMFILE)), "EMFILE"},
    {number_in(POLLARD_TEXT(ENOTTY)), "ENOTTY"},
    {number_in(POLLARD_TEXT(ETXTBSY)), "ETXTBSY"},
    {number_in(POLLARD_TEXT(EFBIG)), "EFBIG"},
    {number_in(POLLARD_TEXT(ENOSPC)), "ENOSPC"},
    {number_in(POLLARD_TEXT(ESPIPE)), "ESPIPE"},
    {number_in(POLLARD_TEXT(EROFS)), "EROFS"},
    {number_in(POLLARD_TEXT(EMLINK)), "EMLINK"},
    {number_in(POLLARD_TEXT(EPIPE)), "EPIPE"},
    {number_in(POLLARD_TEXT(EDOM)), "EDOM"},
    {number_in(POLLARD_TEXT(ERANGE)), "ERANGE"},
    {number_in(POLLARD_TEXT(EDEADLK)), "EDEADLK"},
    {number_in(POLLARD_TEXT(ENAMETOOLONG)), "ENAMETOOLONG"},
    {number_in(POLLARD_TEXT(ENOLCK)), "ENOLCK"},
    {number_in(POLLARD_TEXT(ENOSYS)), "ENOSYS"},
    {number_in(POLLARD_TEXT(ENOTEMPTY)), "ENOTEMPTY"},
    {number_in(POLLARD_TEXT(ELOOP)), "ELOOP"},
    {number_in(POLLARD_TEXT(ENOMSG)), "ENOMSG"},
    {number_in(POLLARD_TEXT(EIDRM)), "EIDRM"},
    {number_in(POLLARD_TEXT(ECHRNG)), "ECHRNG"},
    {number_in(POLLARD_TEXT(EL2NSYNC)), "EL2NSYNC"},
    {number_in(POLLARD_TEXT(EL3HLT)), "EL3HLT"},
    {number_in(POLLARD_TEXT(EL3RST)), "EL3RST"},
    {number_in(POLLARD_TEXT(ELNRNG)), "ELNRNG"},
    {number_in(POLLARD_TEXT(EUNATCH)), "EUNATCH"},
    {number_in(POLLARD_TEXT(ENOCSI)), "ENOCSI"},
    {number_in(POLLARD_TEXT(EL2HLT)), "EL2HLT"},
    {number_in(POLLARD_TEXT(EBADE)), "EBADE"},
    {number_in(POLLARD_TEXT(EBADR)), "EBADR"},
    {number_in(POLLARD_TEXT(EXFULL)), "EXFULL"},
    {number_in(POLLARD_TEXT(ENOANO)), "ENOANO"},
    {number_in(POLLARD_TEXT(EBADRQC)), "EBADRQC"},
    {number_in(POLLARD_TEXT(EBADSLT)), "EBADSLT"},
    {number_in(POLLARD_TEXT(EBFONT)), "EBFONT"},
    {number_in(POLLARD_TEXT(ENOSTR)), "ENOSTR"},
    {number_in(POLLARD_TEXT(ENODATA)), "ENODATA"},
    {number_in(POLLARD_TEXT(ETIME)), "ETIME"},
    {number_in(POLLARD_TEXT(ENOSR)), "ENOSR"},
    {number_in(POLLARD_TEXT(ENONET)), "ENONET"},
    {number_in(POLLARD_TEXT(ENOPKG)), "ENOPKG"},
    {number_in(POLLARD_TEXT(EREMOTE)), "EREMOTE"},
    {number_in(POLLARD_TEXT(ENOLINK)), "ENOLINK"},
    {number_in(POLLARD_TEXT(EADV)), "EADV"},
    {number_in(POLLARD_TEXT(ESRMNT)), "ESRMNT"},
    {number_in(POLLARD_TEXT(ECOMM)), "ECOMM"},
    {number_in(POLLARD_TEXT(EPROTO)), "EPROTO"},
    {number_in(POLLARD_TEXT(EMULTIHOP)), "EMULTIHOP"},
    {number_in(POLLARD_TEXT(EDOTDOT)), "EDOTDOT"},
    {number_in(POLLARD_TEXT(EBADMSG)), "EBADMSG"},
    {number_in(POLLARD_TEXT(EOVERFLOW)), "EOVERFLOW"},
    {number_in(POLLARD_TEXT(ENOTUNIQ)), "ENOTUNIQ"},
    {number_in(POLLARD_TEXT(EBADFD)), "EBADFD"},
    {number_in(POLLARD_TEXT(EREMCHG)), "EREMCHG"},
    {number_in(POLLARD_TEXT(ELIBACC)), "ELIBACC"},
    {number_in(POLLARD_TEXT(ELIBBAD)), "ELIBBAD"},
    {number_in(POLLARD_TEXT(ELIBSCN)), "ELIBSCN"},
    {number_in(POLLARD_TEXT(ELIBMAX)), "ELIBMAX"},
    {number_in(POLLARD_TEXT(ELIBEXEC)), "ELIBEXEC"},
    {number_in(POLLARD_TEXT(EILSEQ)), "EILSEQ"},
    {number_in(POLLARD_TEXT(ERESTART)), "ERESTART"},
    {number_in(POLLARD_TEXT(ESTRPIPE)), "ESTRPIPE"},
    {number_in(POLLARD_TEXT(EUSERS)), "EUSERS"},
    {number_in(POLLARD_TEXT(ENOTSOCK)), "ENOTSOCK"},
    {number_in(POLLARD_TEXT(EDESTADDRREQ)), "EDESTADDRREQ"},
    {number_in(POLLARD_TEXT(EMSGSIZE)), "EMSGSIZE"},
    {number_in(POLLARD_TEXT(EPROTOTYPE)), "EPROTOTYPE"},
    {number_in(POLLARD_TEXT(ENOPROTOOPT)), "ENOPROTOOPT"},
    {number_in(POLLARD_TEXT(EPROTONOSUPPORT)), "EPROTONOSUPPORT"},
    {number_in(POLLARD_TEXT(ESOCKTNOSUPPORT)), "ESOCKTNOSUPPORT"},
    {number_in(POLLARD_TEXT(EOPNOTSUPP)), "EOPNOTSUPP"},
    {number_in(POLLARD_TEXT(EPFNOSUPPORT)), "EPFNOSUPPORT"},
    {number_in(POLLARD_TEXT(EAFNOSUPPORT)), "EAFNOSUPPORT"},
    {number_in(POLLARD_TEXT(EADDRINUSE)), "EADDRINUSE"},
    {number_in(POLLARD_TEXT(EADDRNOTAVAIL)), "EADDRNOTAVAIL"},
    {number_in(POLLARD_TEXT(ENETDOWN)), "ENETDOWN"},
    {number_in(POLLARD_TEXT(ENETUNREACH)), "ENETUNREACH"},
    {number_in(POLLARD_TEXT(ENETRESET)), "ENETRESET"},
    {number_in(POLLARD_TEXT(ECONNABORTED)), "ECONNABORTED"},
    {number_in(POLLARD_TEXT(ECONNRESET)), "ECONNRESET"},
    {number_in(POLLARD_TEXT(ENOBUFS)), "ENOBUFS"},
    {number_in(POLLARD_TEXT(EISCONN)), "EISCONN"},
    {number_in(POLLARD_TEXT(ENOTCONN)), "ENOTCONN"},
    {number_in(POLLARD_TEXT(ESHUTDOWN)), "ESHUTDOWN"},
    {number_in(POLLARD_TEXT(ETOOMANYREFS)), "ETOOMANYREFS"},
    {number_in(POLLARD_TEXT(ETIMEDOUT)), "ETIMEDOUT"},
    {number_in(POLLARD_TEXT(ECONNREFUSED)), "ECONNREFUSED"},
    {number_in(POLLARD_TEXT(EHOSTDOWN)), "EHOSTDOWN"},
    {number_in(POLLARD_TEXT(EHOSTUNREACH)), "EHOSTUNREACH"},
    {number_in(POLLARD_TEXT(EALREADY)), "EALREADY"},
    {number_in(POLLARD_TEXT(EINPROGRESS)), "EINPROGRESS"},
    {number_in(POLLARD_TEXT(ESTALE)), "ESTALE"},
    {number_in(POLLARD_TEXT(EUCLEAN)), "EUCLEAN"},
    {number_in(POLLARD_TEXT(ENOTNAM)), "ENOTNAM"},
    {number_in(POLLARD_TEXT(ENAVAIL)), "ENAVAIL"},
    {number_in(POLLARD_TEXT(EISNAM)), "EISNAM"},
    {number_in(POLLARD_TEXT(EREMOTEIO)), "EREMOTEIO"},
    {number_in(POLLARD_TEXT(EDQUOT)), "EDQUOT"},
    {number_in(POLLARD_TEXT(ENOMEDIUM)), "ENOMEDIUM"},
    {number_in(POLLARD_TEXT(EMEDIUMTYPE)), "EMEDIUMTYPE"},
    {number_in(POLLARD_TEXT(ECANCELED)), "ECANCELED"},
    {number_in(POLLARD_TEXT(ENOKEY)), "ENOKEY"},
    {number_in(POLLARD_TEXT(EKEYEXPIRED)), "EKEYEXPIRED"},
    {number_in(POLLARD_TEXT(EKEYREVOKED)), "EKEYREVOKED"},
    {number_in(POLLARD_TEXT(EKEYREJECTED)), "EKEYREJECTED"},
    {number_in(POLLARD_TEXT(EOWNERDEAD)), "EOWNERDEAD"},
    {number_in(POLLARD_TEXT(ENOTRECOVERABLE)), "ENOTRECOVERABLE"},
    {number_in(POLLARD_TEXT(ERFKILL)), "ERFKILL"},
    {number_in(POLLARD_TEXT(EHWPOISON)), "EHWPOISON"},
    {number_in(POLLARD_TEXT(EWOULDBLOCK)), "EWOULDBLOCK"},
    {number_in(POLLARD_TEXT(EDEADLOCK)), "EDEADLOCK"},
    {number_in(POLLARD_TEXT(ENOTSUP)), "ENOTSUP"},
    {number_in(POLLARD_TEXT(EPROCLIM)), "EPROCLIM"},
    {number_in(POLLARD_TEXT(EBADRPC)), "EBADRPC"},
    {number_in(POLLARD_TEXT(ERPCMISMATCH)), "ERPCMISMATCH"},
    {number_in(POLLARD_TEXT(EPROGUNAVAIL)), "EPROGUNAVAIL"},
    {number_in(POLLARD_TEXT(EPROGMISMATCH)), "EPROGMISMATCH"},
    {number_in(POLLARD_TEXT(EPROCUNAVAIL)), "EPROCUNAVAIL"},
    {number_in(POLLARD_TEXT(EFTYPE)), "EFTYPE"},
    {number_in(POLLARD_TEXT(EAUTH)), "EAUTH"},
    {number_in(POLLARD_TEXT(ENEEDAUTH)), "ENEEDAUTH"},
    {number_in(POLLARD_TEXT(ENOATTR)), "ENOATTR"},
    {number_in(POLLARD_TEXT(EDOOFUS)), "EDOOFUS"},
    {number_in(POLLARD_TEXT(ENOTCAPABLE)), "ENOTCAPABLE"},
    {number_in(POLLARD_TEXT(ECAPMODE)), "ECAPMODE"},
    {number_in(POLLARD_TEXT(EINTEGRITY)), "EINTEGRITY"},
    {number_in(POLLARD_TEXT(EIPSEC)), "EIPSEC"},
    {number_in(POLLARD_TEXT(EPWROFF)), "EPWROFF"},
    {number_in(POLLARD_TEXT(EDEVERR)), "EDEVERR"},
    {number_in(POLLARD_TEXT(EBADEXEC)), "EBADEXEC"},
    {number_in(POLLARD_TEXT(EBADARCH)), "EBADARCH"},
    {number_in(POLLARD_TEXT(ESHLIBVERS)), "ESHLIBVERS"},
    {number_in(POLLARD_TEXT(EBADMACHO)), "EBADMACHO"},
    {number_in(POLLARD_TEXT(ENOPOLICY)), "ENOPOLICY"},
    {number_in(POLLARD_TEXT(EQFULL)), "EQFULL"},
};

std::vector<ErrnoName> list_numbers_once() {
  std::vector<ErrnoName> list;
  for (const ErrnoName& entry : kNames) {
    const bool is_new = std::ranges::count(list, entry.number, &ErrnoName::number) == 0;
    if (entry.number != 0 && is_new) list.push_back(entry);
  }
  std::ranges::sort(list, {}, &ErrnoName::number);
  return list;
}

}  // namespace

std::span<const ErrnoName> errno_names() {
  static const std::vector<ErrnoName> list = list_numbers_once();
  return list;
}

int errno_named(std::string_view name) {
  const auto* const found = std::ranges::find(kNames, name, &ErrnoName::name);
  POLLARD_ASSERT(found != std::end(kNames), "name must be an errno of some system");
  return found->number;
}

}  // namespace pollard::sim
