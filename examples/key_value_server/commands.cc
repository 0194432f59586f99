#include "key_value_server/commands.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "key_value_server/pattern.h"

namespace key_value {
namespace {

using Arguments = std::span<const std::string_view>;

constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";
constexpr std::string_view kSyntax = "ERR syntax error";
constexpr std::string_view kTooLong = "ERR string exceeds maximum allowed size";
constexpr std::string_view kReplyTooLong = "ERR reply exceeds maximum allowed size";

// Characters that KEYS compares more than once: a few hundredths of a second.
constexpr std::size_t kMostLooksBack = 4'000'000;

std::string upper(std::string_view text) {
  std::string made(text);
  for (char& character : made) {
    if (character >= 'a' && character <= 'z') character = static_cast<char>(character - 'a' + 'A');
  }
  return made;
}

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& character : made) {
    if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
  }
  return made;
}

// So many units, if the time line holds them.
std::optional<Store::Duration> duration(std::int64_t count, Store::Duration unit) {
  const std::int64_t most = Store::Duration::max().count() / unit.count();
  if (count > most || count < -most) return std::nullopt;
  return count * unit;
}

// ---- Connection and server ----

void ping(Arguments command, Store&, Replies& replies) {
  if (command.size() > 1) return replies.bulk(command[1]);
  replies.simple("PONG");
}

void echo(Arguments command, Store&, Replies& replies) { replies.bulk(command[1]); }

void quit(Arguments, Store&, Replies& replies) { replies.ok(); }

void select(Arguments command, Store&, Replies& replies) {
  if (command[1] == "0") return replies.ok();
  replies.error("ERR DB index is out of range");
}

// redis-cli asks for help that we don't have, redis-benchmark for two settings
// of Redis.
void command_table(Arguments, Store&, Replies& replies) { replies.array(0); }

void config(Arguments command, Store&, Replies& replies) {
  if (upper(command[1]) != "GET" || command.size() != 3) {
    return replies.error("ERR only CONFIG GET is known here");
  }
  const std::string name = lower(command[2]);
  if (name != "save" && name != "appendonly") return replies.array(0);
  replies.array(2);
  replies.bulk(name);
  replies.bulk(name == "save" ? "" : "no");  // nothing is kept on disk
}

void info(Arguments, Store& store, Replies& replies) {
  replies.bulk("# Server\r\nserver:pollard key_value_server\r\n# Keyspace\r\nkeys:" +
               std::to_string(store.size()) + "\r\n");
}

// ---- Values ----

void get(Arguments command, Store& store, Replies& replies) {
  store.get(command[1], [&](std::optional<std::string_view> value) {
    value.has_value() ? replies.bulk(*value) : replies.null();
  });
}

struct SetOptions {
  std::optional<Store::Duration> life;
  Store::When when = Store::When::kAlways;
};

// What follows key and value; what is wrong with it, or nothing.
std::string_view parse_set_options(Arguments options, SetOptions& parsed) {
  for (std::size_t i = 0; i < options.size(); ++i) {
    const std::string option = upper(options[i]);
    if ((option == "NX" || option == "XX") && parsed.when == Store::When::kAlways) {
      parsed.when = option == "NX" ? Store::When::kIfAbsent : Store::When::kIfPresent;
    } else if ((option == "EX" || option == "PX") && i + 1 < options.size() && !parsed.life) {
      const auto count = to_integer(options[++i]);
      if (!count.has_value()) return kNotAnInteger;
      parsed.life =
          duration(*count, option == "EX" ? Store::Duration(std::chrono::seconds(1))
                                          : Store::Duration(std::chrono::milliseconds(1)));
      if (!parsed.life || *parsed.life <= Store::Duration::zero()) {
        return "ERR invalid expire time in 'set' command";
      }
    } else {
      return kSyntax;
    }
  }
  return {};
}

void set(Arguments command, Store& store, Replies& replies) {
  SetOptions options;
  const std::string_view wrong = parse_set_options(command.subspan(3), options);
  if (!wrong.empty()) return replies.error(wrong);
  if (store.set(command[1], command[2], options.life, options.when)) return replies.ok();
  replies.null();
}

void append(Arguments command, Store& store, Replies& replies) {
  std::size_t size = 0;
  if (store.append(command[1], command[2], CommandParser::kMostBytes, size) !=
      Store::Failure::kNone) {
    return replies.error(kTooLong);
  }
  replies.integer(static_cast<std::int64_t>(size));
}

void add(std::string_view key, std::int64_t addend, Store& store, Replies& replies) {
  std::int64_t sum = 0;
  switch (store.add(key, addend, sum)) {
    case Store::Failure::kNone: return replies.integer(sum);
    case Store::Failure::kOverflow:
      return replies.error("ERR increment or decrement would overflow");
    case Store::Failure::kNotANumber:
    case Store::Failure::kTooLong: break;
  }
  replies.error(kNotAnInteger);
}

void increment(Arguments command, Store& store, Replies& replies) {
  add(command[1], 1, store, replies);
}

void decrement(Arguments command, Store& store, Replies& replies) {
  add(command[1], -1, store, replies);
}

void increment_by(Arguments command, Store& store, Replies& replies) {
  const auto addend = to_integer(command[2]);
  if (!addend.has_value()) return replies.error(kNotAnInteger);
  add(command[1], *addend, store, replies);
}

void decrement_by(Arguments command, Store& store, Replies& replies) {
  const auto subtrahend = to_integer(command[2]);
  if (!subtrahend.has_value()) return replies.error(kNotAnInteger);
  if (*subtrahend == std::numeric_limits<std::int64_t>::min()) {
    return replies.error("ERR decrement would overflow");
  }
  add(command[1], -*subtrahend, store, replies);
}

void get_many(Arguments command, Store& store, Replies& replies) {
  replies.array(command.size() - 1);
  store.get_all(command.subspan(1), [&](std::optional<std::string_view> value) {
    value.has_value() ? replies.bulk(*value) : replies.null();
  });
}

void set_many(Arguments command, Store& store, Replies& replies) {
  if (command.size() % 2 == 0) {
    return replies.error("ERR wrong number of arguments for 'mset' command");
  }
  store.set_all(command.subspan(1));
  replies.ok();
}

// ---- Keys ----

void remove(Arguments command, Store& store, Replies& replies) {
  replies.integer(std::ranges::count_if(command.subspan(1),
                                        [&](std::string_view key) { return store.remove(key); }));
}

void exists(Arguments command, Store& store, Replies& replies) {
  replies.integer(std::ranges::count_if(command.subspan(1),
                                        [&](std::string_view key) { return store.contains(key); }));
}

void expire(Arguments command, Store::Duration unit, Store& store, Replies& replies) {
  const auto count = to_integer(command[2]);
  if (!count.has_value()) return replies.error(kNotAnInteger);
  const auto life = duration(*count, unit);
  if (!life.has_value()) {
    return replies.error("ERR invalid expire time in '" + lower(command[0]) + "' command");
  }
  replies.integer(store.expire(command[1], life) ? 1 : 0);
}

void expire_in_seconds(Arguments command, Store& store, Replies& replies) {
  expire(command, std::chrono::seconds(1), store, replies);
}

void expire_in_milliseconds(Arguments command, Store& store, Replies& replies) {
  expire(command, std::chrono::milliseconds(1), store, replies);
}

void persist(Arguments command, Store& store, Replies& replies) {
  const bool expires = store.life(command[1]).left.has_value();
  replies.integer(expires && store.expire(command[1], std::nullopt) ? 1 : 0);
}

void time_to_live(Arguments command, Store::Duration unit, Store& store, Replies& replies) {
  const Store::Life life = store.life(command[1]);
  if (!life.exists) return replies.integer(-2);
  if (!life.left.has_value()) return replies.integer(-1);
  replies.integer((*life.left + unit / 2) / unit);  // rounded, as Redis does
}

void seconds_to_live(Arguments command, Store& store, Replies& replies) {
  time_to_live(command, std::chrono::seconds(1), store, replies);
}

void milliseconds_to_live(Arguments command, Store& store, Replies& replies) {
  time_to_live(command, std::chrono::milliseconds(1), store, replies);
}

// Adds an array of the keys that match, behind `before`; or an error alone. No client waits long
// for the lock: patterns are short, keys that take much looking back at are given up, and no more
// are collected than a reply holds.
void reply_keys(std::string_view before, std::string_view text, Store& store, Replies& replies) {
  if (text.size() > Pattern::kLongest) return replies.error("ERR pattern is too long");
  const Pattern pattern(text);
  std::size_t budget = kMostLooksBack;
  std::size_t count = 0;
  Replies found;
  store.visit_keys([&](std::string_view key) {
    if (pattern.matches(key, budget)) {
      found.bulk(key);
      ++count;
    }
    return budget > 0 && !found.too_long();
  });
  if (budget == 0) return replies.error("ERR pattern takes too long to match");
  if (found.too_long()) return replies.error(kReplyTooLong);
  replies.text() += before;
  replies.array(count);
  replies.text() += found.text();
}

void keys(Arguments command, Store& store, Replies& replies) {
  reply_keys("", command[1], store, replies);
}

// All at once, which the cursor zero in the reply says. A COUNT is a hint, and
// not needed.
void scan(Arguments command, Store& store, Replies& replies) {
  if (command[1] != "0") return replies.error("ERR invalid cursor");
  std::string_view pattern = "*";
  if (command.size() % 2 != 0) return replies.error(kSyntax);
  for (std::size_t i = 2; i < command.size(); i += 2) {
    const std::string option = upper(command[i]);
    if (option == "MATCH") {
      pattern = command[i + 1];
    } else if (option != "COUNT" || to_integer(command[i + 1]).value_or(0) <= 0) {
      return replies.error(kSyntax);
    }
  }
  reply_keys("*2\r\n$1\r\n0\r\n", pattern, store, replies);
}

void count_keys(Arguments, Store& store, Replies& replies) {
  replies.integer(static_cast<std::int64_t>(store.size()));
}

void remove_all(Arguments, Store& store, Replies& replies) {
  store.clear();
  replies.ok();
}

// ---- All of them ----

struct Command {
  void (*run)(Arguments command, Store& store, Replies& replies);
  std::size_t fewest;  // arguments, the name included
  std::size_t most = SIZE_MAX;
};

const std::unordered_map<std::string_view, Command>& commands() {
  static const std::unordered_map<std::string_view, Command> all = {
      {"APPEND", {append, 3, 3}},
      {"COMMAND", {command_table, 1}},
      {"CONFIG", {config, 2}},
      {"DBSIZE", {count_keys, 1, 1}},
      {"DECR", {decrement, 2, 2}},
      {"DECRBY", {decrement_by, 3, 3}},
      {"DEL", {remove, 2}},
      {"ECHO", {echo, 2, 2}},
      {"EXISTS", {exists, 2}},
      {"EXPIRE", {expire_in_seconds, 3, 3}},
      {"FLUSHALL", {remove_all, 1, 2}},
      {"GET", {get, 2, 2}},
      {"INCR", {increment, 2, 2}},
      {"INCRBY", {increment_by, 3, 3}},
      {"INFO", {info, 1}},
      {"KEYS", {keys, 2, 2}},
      {"MGET", {get_many, 2}},
      {"MSET", {set_many, 3}},
      {"PERSIST", {persist, 2, 2}},
      {"PEXPIRE", {expire_in_milliseconds, 3, 3}},
      {"PING", {ping, 1, 2}},
      {"PTTL", {milliseconds_to_live, 2, 2}},
      {"QUIT", {quit, 1}},
      {"SCAN", {scan, 2, 6}},
      {"SELECT", {select, 2, 2}},
      {"SET", {set, 3}},
      {"TTL", {seconds_to_live, 2, 2}},
  };
  return all;
}

// The name in capitals, in place: commands have short names, and nothing is
// allocated.
const Command* find_command(std::string_view name) {
  std::array<char, 16> capitals{};
  if (name.size() > capitals.size()) return nullptr;
  std::ranges::transform(name, capitals.begin(), [](char character) {
    const bool small = character >= 'a' && character <= 'z';
    return small ? static_cast<char>(character - 'a' + 'A') : character;
  });
  const auto found = commands().find({capitals.data(), name.size()});
  return found == commands().end() ? nullptr : &found->second;
}

}  // namespace

Afterwards execute(Arguments command, Store& store, Replies& replies) {
  const Command* const known = find_command(command.front());
  if (known == nullptr) {
    replies.error("ERR unknown command '" + std::string(command.front().substr(0, 64)) + "'");
    return Afterwards::kGoOn;
  }
  if (command.size() < known->fewest || command.size() > known->most) {
    replies.error("ERR wrong number of arguments for '" + lower(command.front()) + "' command");
    return Afterwards::kGoOn;
  }
  const std::size_t before = replies.text().size();
  replies.begin();
  known->run(command, store, replies);
  if (replies.too_long()) {
    replies.text().resize(before);
    replies.error(kReplyTooLong);
  }
  return known->run == quit ? Afterwards::kQuit : Afterwards::kGoOn;
}

}  // namespace key_value
