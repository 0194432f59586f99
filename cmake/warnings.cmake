# The list of warnings stands in bazel/copts.bzl, for both builds; it is read from there.

set(pollard_warnings_file ${CMAKE_CURRENT_LIST_DIR}/../bazel/copts.bzl)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pollard_warnings_file})

file(STRINGS ${pollard_warnings_file} pollard_warnings REGEX "^ +\"-W")
list(TRANSFORM pollard_warnings REPLACE "^ +\"(.+)\",$" "\\1")

# Boost.Test and Google Benchmark number cases with __COUNTER__, which Clang 22 takes to be C2y's.
include(CheckCXXCompilerFlag)
check_cxx_compiler_flag(-Wc2y-extensions pollard_has_c2y_extensions)
if(pollard_has_c2y_extensions)
  list(APPEND pollard_warnings -Wno-c2y-extensions)
endif()

if(POLLARD_WERROR)
  list(APPEND pollard_warnings -Werror)
endif()

# Builds a target of ours with our warnings; those who use it are not bothered with them.
function(pollard_set_warnings target)
  target_compile_options(${target} PRIVATE ${pollard_warnings})
endfunction()
