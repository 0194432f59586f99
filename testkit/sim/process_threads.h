// What the threads of this process do, as far as the system tells: Linux does, in /proc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace pollard::sim {

/// The threads beside the calling one, by the system's names for them; nothing where it doesn't
/// tell. A thread that was joined may be among them for a moment: it hasn't quite ended.
[[nodiscard]] std::optional<std::vector<std::string>> other_threads();

/// How many there are beside `some`, as far as those still live; nothing where the system doesn't
/// tell.
[[nodiscard]] std::optional<std::size_t> count_threads_beside(const std::vector<std::string>& some);

/// Whether all but the calling thread sleep; nothing where the system doesn't tell.
[[nodiscard]] std::optional<bool> others_sleep();

}  // namespace pollard::sim
