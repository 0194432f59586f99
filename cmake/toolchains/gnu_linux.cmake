# Cross-compiles with a GCC for another kind of Linux machine: a toolchain file for
# `cmake --toolchain cmake/toolchains/gnu_linux.cmake -DPOLLARD_TARGET=s390x-linux-gnu`, where the
# package g++-s390x-linux-gnu is installed. CMAKE_FIND_ROOT_PATH is where what the tests and
# examples need is looked for.

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES POLLARD_TARGET)

if(NOT POLLARD_TARGET MATCHES "^([^-]+)-linux-gnu")
  message(FATAL_ERROR "POLLARD_TARGET is '${POLLARD_TARGET}'; say aarch64-linux-gnu, "
    "s390x-linux-gnu, arm-linux-gnueabihf or another of Debian's cross compilers")
endif()
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_MATCH_1})
set(CMAKE_CXX_COMPILER ${POLLARD_TARGET}-g++)

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
