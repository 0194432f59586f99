# The headers that many files have in common are read once for all of them instead of once a file:
# half of the library's time, and a third of the tests'. Bazel's build goes without, so a missing
# #include is found. A compiler cache does the same, and better without.

set(pollard_precompile_default ${PROJECT_IS_TOP_LEVEL})
if(CMAKE_CXX_COMPILER_LAUNCHER)
  set(pollard_precompile_default OFF)
endif()
option(POLLARD_PRECOMPILE "Precompile the headers that many files include"
       ${pollard_precompile_default})

# GCC takes what it inlines of a precompiled header for code of ours, and warns of it wrongly.
set(pollard_precompile_warnings)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(pollard_precompile_warnings -Wno-array-bounds -Wno-maybe-uninitialized -Wno-restrict
    -Wno-stringop-overflow -Wno-stringop-overread)
endif()

# pollard_precompile(TARGET HEADER...): targets of one folder are compiled alike, so those that come
# later use what the first of them has made, and need not name the headers.
function(pollard_precompile target)
  if(NOT POLLARD_PRECOMPILE)
    return()
  endif()
  target_compile_options(${target} PRIVATE ${pollard_precompile_warnings})
  get_property(first DIRECTORY PROPERTY pollard_precompiled)
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(DIRECTORY PROPERTY pollard_precompiled ${target})
  endif()
endfunction()

set(pollard_library_headers <algorithm> <array> <atomic> <chrono> <deque> <functional> <map>
  <memory> <mutex> <optional> <span> <sstream> <string> <string_view> <system_error> <thread>
  <utility> <vector>)

# pollard_precompile_library(TARGET): static libraries and objects are compiled alike, and share
# what the first of them, pollard, has made. A shared library can't: it defines a macro of its own.
# Nor can a build with sanitizers, where tests/ is not optimised.
function(pollard_precompile_library target)
  # Darwin's headers want a macro of platform/features.h before the first of them.
  if(NOT POLLARD_PRECOMPILE OR APPLE)
    return()
  endif()
  target_compile_options(${target} PRIVATE ${pollard_precompile_warnings})
  if(target STREQUAL pollard OR BUILD_SHARED_LIBS OR POLLARD_SANITIZE)
    target_precompile_headers(${target} PRIVATE ${pollard_library_headers})
  else()
    target_precompile_headers(${target} REUSE_FROM pollard)
  endif()
endfunction()
