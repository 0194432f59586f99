#include "pollard/poller/registry.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "pollard/base/error.h"
#include "pollard/platform/failure.h"
#include "pollard/platform/io.h"
#include "pollard/platform/process.h"
#include "pollard/platform/time.h"
#include "pollard/poller/backends.h"

namespace pollard {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<PollerBackend> entries{
      {.name = "epoll", .capabilities = kEpollCapabilities, .create = make_epoll_poller},
      {.name = "kqueue", .capabilities = kKqueueCapabilities, .create = make_kqueue_poller},
      {.name = "poll", .capabilities = kPollCapabilities, .create = make_poll_poller},
      {.name = "select", .capabilities = kSelectCapabilities, .create = make_select_poller},
  };
};

// Never destroyed: a loop in another static may be made or ended after it.
Registry& registry() {
  static Registry& only = *new Registry;
  return only;
}

bool is_name(std::string_view text) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return !text.empty() && text.find_first_not_of(kAllowed) == std::string_view::npos;
}

[[noreturn]] void refuse(std::error_code code, const std::string& message) {
  throw std::system_error(code, message);
}

// What a probe has found. A shortage says nothing about the poller: it could not be tried.
struct Finding {
  std::string reason;        // why it doesn't work; empty if it does
  std::error_code shortage;  // of descriptors or memory, if that is the reason
};

Finding failed(const std::string& what, std::error_code error) {
  const bool short_now =
      platform::classify(platform::Operation::kWait, error) == platform::FailureKind::kShortage;
  return {.reason = what + ": " + error.message(),
          .shortage = short_now ? error : std::error_code()};
}

// A byte through a pipe: silent before, readable after.
Finding try_pipe(Poller& poller) {
  platform::Descriptor read_end;
  platform::Descriptor write_end;
  const platform::Result piped = platform::open_pipe(read_end, write_end);
  if (!piped.ok()) return failed("pipe", piped.error());
  constexpr Token kToken{4711};
  if (const auto error = poller.add(read_end.get(), Interest::kRead, kToken)) {
    return failed("watching a pipe", error);
  }
  Event event;
  if (const auto error = poller.wait(Duration::zero())) return failed("waiting", error);
  if (poller.next(event)) return {.reason = "it reports an empty pipe as ready"};
  constexpr std::array<std::byte, 1> kByte{};
  const platform::Result written =
      platform::retry_interrupted([&] { return platform::write(write_end.get(), kByte); });
  if (!written.ok()) return {.reason = "a pipe takes no byte"};
  // A signal may end a wait with nothing found.
  const MonotonicTime deadline = saturating_add(platform::monotonic_now(), std::chrono::seconds(1));
  bool found = false;
  for (Duration left = std::chrono::seconds(1); !found && left > Duration::zero();) {
    if (const auto error = poller.wait(left)) return failed("waiting", error);
    found = poller.next(event);
    left = deadline - platform::monotonic_now();
  }
  if (!found || event.token != kToken || !event.readable) {
    return {.reason = "it doesn't report a byte in a pipe"};
  }
  poller.remove(read_end.get());
  return {};
}

Finding try_out(const PollerBackend& entry) {
  try {
    if (entry.probe) return {.reason = entry.probe()};
    const std::unique_ptr<Poller> poller = entry.create();
    return poller == nullptr ? Finding{.reason = "nothing is created"} : try_pipe(*poller);
  } catch (const std::system_error& error) {
    return {.reason = error.what(), .shortage = failed("", error.code()).shortage};
  } catch (const std::exception& error) {
    return {.reason = error.what()};
  }
}

// Whether the entry works. Throws for a shortage: taking another poller for it would be a fallback
// that lasts longer than its cause.
bool works(const PollerBackend& entry) {
  const Finding finding = try_out(entry);
  if (finding.shortage) {
    refuse(finding.shortage, "trying the poller '" + entry.name + "' (" + finding.reason + ')');
  }
  return finding.reason.empty();
}

std::vector<std::string> split_names(const PollerChoice& choice) {
  std::vector<std::string> names;
  std::string_view rest = choice.names;
  for (;;) {
    const std::size_t comma = rest.find(',');
    names.emplace_back(rest.substr(0, comma));
    if (!is_name(names.back())) {
      refuse(std::make_error_code(std::errc::invalid_argument),
             "poller choice '" + choice.names + "' of " + std::string(to_string(choice.source)) +
                 ": names separated by commas are wanted, such as \"epoll\" or \"kqueue,poll\"");
    }
    if (comma == std::string_view::npos) return names;
    rest.remove_prefix(comma + 1);
  }
}

// "works here: epoll, poll; does not: kqueue (kqueue: Function not implemented)".
std::string describe(const std::vector<PollerBackend>& entries) {
  std::string usable;
  std::string unusable;
  for (const PollerBackend& entry : entries) {
    const std::string reason = why_unusable(entry);
    std::string& list = reason.empty() ? usable : unusable;
    if (!list.empty()) list += ", ";
    list += entry.name;
    if (!reason.empty()) list += " (" + reason + ")";
  }
  return "works here: " + (usable.empty() ? "none" : usable) +
         (unusable.empty() ? "" : "; does not: " + unusable);
}

}  // namespace

std::vector<PollerBackend> registered_pollers() {
  const std::lock_guard lock(registry().mutex);
  return registry().entries;
}

void register_poller(PollerBackend entry) {
  const std::string label = "register_poller '" + entry.name + "'";
  if (!is_name(entry.name) || !entry.create) {
    refuse(
        std::make_error_code(std::errc::invalid_argument),
        label + ": wants a name of letters, digits, '_' and '-', and a function that creates it");
  }
  const std::lock_guard lock(registry().mutex);
  std::vector<PollerBackend>& entries = registry().entries;
  const bool taken = std::ranges::any_of(
      entries, [&](const PollerBackend& other) { return other.name == entry.name; });
  if (taken) refuse(std::make_error_code(std::errc::file_exists), label);
  entries.push_back(std::move(entry));
}

std::string why_unusable(const PollerBackend& entry) { return try_out(entry).reason; }

std::string_view to_string(PollerChoice::Source source) {
  switch (source) {
    case PollerChoice::Source::kCode: return "the program";
    case PollerChoice::Source::kFlag: return "--poller";
    case PollerChoice::Source::kEnvironment: return "POLLARD_POLLER";
    case PollerChoice::Source::kDefault: return "the default";
  }
  return "unknown";
}

PollerChoice poller_from_args(int& argc, char** argv) {
  constexpr std::string_view kFlag = "--poller";
  PollerChoice choice("", PollerChoice::Source::kFlag);
  int kept = 0;
  int i = 0;
  for (; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") break;
    const bool separate = i > 0 && argument == kFlag;
    const bool joined =
        i > 0 && argument.starts_with(kFlag) && argument.substr(kFlag.size()).starts_with('=');
    if (!separate && !joined) {
      argv[kept++] = argv[i];
      continue;
    }
    if (separate && i + 1 < argc) {
      choice.names = argv[++i];
    } else {
      choice.names = separate ? "" : argument.substr(kFlag.size() + 1);
    }
    if (choice.names.empty()) {
      refuse(std::make_error_code(std::errc::invalid_argument),
             "--poller wants names, such as --poller=epoll or --poller=kqueue,poll");
    }
  }
  for (; i < argc; ++i) argv[kept++] = argv[i];
  argc = kept;
  argv[argc] = nullptr;
  return choice;
}

PollerChoice effective_choice(PollerChoice code) {
  if (!code.names.empty()) return code;
  std::string variable = platform::environment("POLLARD_POLLER");
  if (!variable.empty()) return {std::move(variable), PollerChoice::Source::kEnvironment};
  return {"", PollerChoice::Source::kDefault};
}

PollerBackend resolve(const PollerChoice& choice) {
  const std::vector<PollerBackend> entries = registered_pollers();
  if (choice.names.empty()) {
    for (const PollerBackend& entry : entries) {
      if (works(entry)) return entry;
    }
    refuse(Error::kPollerUnusable, describe(entries));
  }
  const std::string asked = "poller '" + choice.names + "' (asked for by " +
                            std::string(to_string(choice.source)) + "); ";
  std::vector<PollerBackend> named;
  for (const std::string& name : split_names(choice)) {
    const auto entry = std::ranges::find(entries, name, &PollerBackend::name);
    if (entry == entries.end()) refuse(Error::kPollerUnknown, asked + describe(entries));
    named.push_back(*entry);
  }
  for (const PollerBackend& entry : named) {
    if (works(entry)) return entry;
  }
  refuse(Error::kPollerUnusable, asked + describe(entries));
}

std::unique_ptr<Poller> make_poller(PollerChoice code) {
  return resolve(effective_choice(std::move(code))).create();
}

}  // namespace pollard
