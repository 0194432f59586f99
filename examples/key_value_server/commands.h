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
/// reply to it: an error instead of one that is longer than Replies::kMostBytes.
Afterwards execute(std::span<const std::string_view> command, Store& store, Replies& replies);

}  // namespace key_value
