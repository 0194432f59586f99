// Boost.Test itself, for a build that has its headers but no library of it for the target.
#define BOOST_TEST_NO_MAIN
#include <boost/test/included/unit_test.hpp>
