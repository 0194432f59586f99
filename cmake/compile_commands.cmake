# compile_commands.json by default: clangd, clang-tidy and editors look for it at the root of the
# tree. The link there points to the build folder that was configured last, of those that build
# everything for this machine.

if(PROJECT_IS_TOP_LEVEL)
  # project() has made an empty cache entry of that name.
  if("${CMAKE_EXPORT_COMPILE_COMMANDS}" STREQUAL "")
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  endif()
  if(CMAKE_EXPORT_COMPILE_COMMANDS AND POLLARD_BUILD_TESTS AND NOT CMAKE_CROSSCOMPILING)
    # A source folder that can't be written to is no failure.
    file(CREATE_LINK ${CMAKE_CURRENT_BINARY_DIR}/compile_commands.json
         ${CMAKE_CURRENT_SOURCE_DIR}/compile_commands.json
         RESULT pollard_link_failure SYMBOLIC)
  endif()
endif()
