#include "pollard/platform/huge_pages.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>

namespace pollard::platform {
namespace {

BOOST_AUTO_TEST_SUITE(huge_pages)

BOOST_AUTO_TEST_CASE(all_that_was_asked_for_can_be_used) {
  for (const std::size_t size : {1U, 4097U, 2U << 20U, (2U << 20U) + 1}) {
    const HugePages memory = allocate_huge_pages(size);
    BOOST_TEST_REQUIRE((memory != nullptr));
    std::fill_n(memory.get(), size, std::byte{7});
    BOOST_TEST((memory[0] == std::byte{7}));
    BOOST_TEST((memory[size - 1] == std::byte{7}));
  }
}

BOOST_AUTO_TEST_CASE(rounding_up_does_not_pass_the_end_of_all_memory) {
  BOOST_TEST((allocate_huge_pages(SIZE_MAX - 1) == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace pollard::platform
