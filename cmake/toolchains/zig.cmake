# Cross-compiles with Zig's clang and libc++, which know many systems: a toolchain file for
# `cmake --toolchain cmake/toolchains/zig.cmake -DPOLLARD_TARGET=x86_64-freebsd`, once ci/matrix has
# installed Zig. CMAKE_FIND_ROOT_PATH is where what the tests and examples need is looked for.

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES POLLARD_TARGET)

if(POLLARD_TARGET MATCHES "^([^-]+)-macos")
  set(CMAKE_SYSTEM_NAME Darwin)
  set(CMAKE_INSTALL_NAME_TOOL true)  # what we link with stays where it is
elseif(POLLARD_TARGET MATCHES "^([^-]+)-freebsd")
  set(CMAKE_SYSTEM_NAME FreeBSD)
elseif(POLLARD_TARGET MATCHES "^([^-]+)-netbsd")
  set(CMAKE_SYSTEM_NAME NetBSD)
elseif(POLLARD_TARGET MATCHES "^([^-]+)-openbsd")
  set(CMAKE_SYSTEM_NAME OpenBSD)
elseif(POLLARD_TARGET MATCHES "^([^-]+)-linux")
  set(CMAKE_SYSTEM_NAME Linux)
else()
  message(FATAL_ERROR "POLLARD_TARGET is '${POLLARD_TARGET}'; say x86_64-freebsd, aarch64-macos, "
    "x86_64-linux-musl or another target of Zig's with one of these systems")
endif()
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_MATCH_1})

set(zig_tools ${CMAKE_CURRENT_LIST_DIR}/../../ci/zig)
set(CMAKE_CXX_COMPILER ${zig_tools}/c++)
set(CMAKE_CXX_COMPILER_TARGET ${POLLARD_TARGET})
set(CMAKE_AR ${zig_tools}/ar)
set(CMAKE_RANLIB ${zig_tools}/ranlib)

# Boost 1.74 uses what C++17 removed. Zig makes undefined behaviour trap unless told otherwise; the
# sanitizers of ci/test look for it.
set(CMAKE_CXX_FLAGS_INIT
  "-D_LIBCPP_ENABLE_CXX17_REMOVED_UNARY_BINARY_FUNCTION -fno-sanitize=undefined")

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
