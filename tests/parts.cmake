# What ctest runs. The label of a test is the part of ci/test that it belongs to: `ctest -L suite`
# runs the test programs, `ctest -L interop` tests/interop/run.

set(POLLARD_TEST_FILTERS "" CACHE STRING "Filters of Boost.Test for all test programs: '!*/a:!*/b'")

set(pollard_test_filters ${POLLARD_TEST_FILTERS})
set(pollard_test_environment POLLARD_REQUIRED_POLLERS=${required_pollers})
if(POLLARD_SANITIZE STREQUAL "address")
  list(APPEND pollard_test_environment
    ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 BOOST_TEST_CATCH_SYSTEM_ERRORS=no)
elseif(POLLARD_SANITIZE STREQUAL "thread")
  list(APPEND pollard_test_environment
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0
    BOOST_TEST_CATCH_SYSTEM_ERRORS=no)
  # These fork a child in which another thread meets an assertion or an exit; ThreadSanitizer can't
  # follow a child of several threads that makes more. The last: ThreadSanitizer holds a signal back
  # for as long as its thread waits in a call like read().
  list(APPEND pollard_test_filters !*/*asserts_* !*/*_assert_in_another_thread !*/static_loop_*
    !owner_thread/a_call_in_another_thread_aborts
    !signals/blocking_call_of_another_thread_is_restarted)
endif()
list(JOIN pollard_test_filters ":" pollard_test_filters)

# pollard_add_part(PART NAME COMMAND...): runs at the root of the tree.
function(pollard_add_part part name)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES
    LABELS ${part} ENVIRONMENT "${pollard_test_environment}")
endfunction()

# pollard_add_suite(PART NAME PROGRAM FILTER ARGUMENT...): FILTER, which may be empty, chooses among
# the program's test cases.
function(pollard_add_suite part name program filter)
  string(JOIN ":" filter ${filter} ${pollard_test_filters})
  if(filter)
    list(APPEND ARGN --run_test=${filter})
  endif()
  pollard_add_part(${part} ${name} ${program} ${ARGN})
endfunction()

# The programs whose cases run on the real and on the simulated kernel do so in two runs.
foreach(program base platform poller net conformance examples chaos fault_run fuzz)
  if(program MATCHES "^(poller|net)$")
    pollard_add_suite(suite ${program}_test.real ${program}_test "!simulated-*")
    pollard_add_suite(suite ${program}_test.simulated ${program}_test "simulated-*")
  elseif(TARGET ${program}_test)
    pollard_add_suite(suite ${program}_test ${program}_test "")
  endif()
endforeach()
# The longest ones begin first.
set_tests_properties(net_test.real net_test.simulated PROPERTIES COST 100)

# pollard_add_profile(PART NAME PROFILE BACKEND...): the suites on the simulated kernel, as it
# answers like another system; without a list all backends.
function(pollard_add_profile part name profile)
  set(filter "simulated-*")
  if(ARGN)
    list(TRANSFORM ARGN REPLACE "(.+)" "simulated-\\1*" OUTPUT_VARIABLE filter)
    list(JOIN filter ":" filter)
  endif()
  foreach(program poller_test net_test)
    pollard_add_suite(${part} ${program}.${name} ${program} "${filter}" --profile=${profile})
    # Megabytes take their time through 2 KiB.
    if(profile STREQUAL "worst")
      set_property(TEST ${program}.${name} APPEND PROPERTY ENVIRONMENT POLLARD_TEST_PATIENCE=4)
    endif()
  endforeach()
endfunction()

# Each backend on a system of its own, and on one more: epoll has Linux alone, which the suite
# covers.
pollard_add_profile(profiles-quick freebsd.quick freebsd kqueue)
pollard_add_profile(profiles-quick netbsd.quick netbsd kqueue poll select)
foreach(profile linux freebsd netbsd openbsd darwin worst)
  pollard_add_profile(profiles ${profile} ${profile})
endforeach()

if(POLLARD_SANITIZE)
  pollard_add_part(chaos chaos chaos --seeds=200)
elseif(TARGET example_echo_server AND NOT CMAKE_CROSSCOMPILING)
  pollard_add_part(style style tests/tidy/run)
  pollard_add_part(style workflow tests/workflow/run)
  pollard_add_part(style runner tests/runner/run)
  pollard_add_part(conformance conformance program_conformance --poller=${required_pollers})
  pollard_add_part(conformance conformance.simulated program_conformance --kernel=sim)
  pollard_add_part(fault-run fault_run fault_run)
  pollard_add_part(readme readme tests/readme/run ${PROJECT_BINARY_DIR})
  pollard_add_part(chaos chaos chaos --seeds=2000)
  pollard_add_part(interop interop tests/interop/run ${PROJECT_BINARY_DIR})
  pollard_add_part(consumers consumers tests/consumers/run ${PROJECT_BINARY_DIR})
  pollard_add_part(guards guards bench/guard ${PROJECT_BINARY_DIR})
  pollard_add_part(lint lint ci/lint)
  pollard_add_part(tidy tidy ci/tidy)
  # The first run of clang-tidy takes longer than any suite, the others a moment.
  set_tests_properties(tidy PROPERTIES TIMEOUT 1800 COST 100)
endif()
