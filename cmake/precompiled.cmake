# The headers that the test programs and the examples have in common, read once for all of them
# instead of once a file: a third of the time that they take. Bazel's build goes without, so a
# missing #include is found. A compiler cache does the same, and better without.

set(pollard_precompile_default ${PROJECT_IS_TOP_LEVEL})
if(CMAKE_CXX_COMPILER_LAUNCHER)
  set(pollard_precompile_default OFF)
endif()
option(POLLARD_PRECOMPILE "Precompile the headers of tests and examples"
       ${pollard_precompile_default})

# pollard_precompile(TARGET HEADER...): targets of one folder are compiled alike, so those that come
# later use what the first of them has made, and need not name the headers.
function(pollard_precompile target)
  if(NOT POLLARD_PRECOMPILE)
    return()
  endif()
  get_property(first DIRECTORY PROPERTY pollard_precompiled)
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${ARGN})
    set_property(DIRECTORY PROPERTY pollard_precompiled ${target})
  endif()
endfunction()
