// What the server understands: a part of Redis' commands, by their own rules.
#pragma once

#include <span>
#include <string_view>

#include "key_value_server/resp.h"
#include "key_value_server/store.h"

namespace key_value {

/// What the peer wants of its connection.
enum class Afterwards : unsigned char { kGoOn, kQuit };

/// Does what a command says, whose first argument is its name, and adds the
/// reply to it.
Afterwards execute(std::span<const std::string_view> command, Store& store, Replies& replies);

/// Whether `text` matches all of `pattern`: * is any text, ? any character,
/// [a-c] or [^a-c] one of these or none of them, and \ takes the meaning from
/// what follows. In a time that is the product of their lengths at the most.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);

}  // namespace key_value
