# POLLARD_LIBKQUEUE runs the kqueue backend where there is no kqueue, on mheily's library of that
# name, which imitates it with the system's own mechanisms. It is a second opinion for tests; the
# library deviates from what the BSDs and macOS answer, so what is built so is not installed.

if(POLLARD_LIBKQUEUE)
  if(POLLARD_INSTALL)
    message(FATAL_ERROR "POLLARD_LIBKQUEUE is for tests; say -DPOLLARD_INSTALL=OFF too")
  endif()
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(libkqueue REQUIRED IMPORTED_TARGET libkqueue)
  target_link_libraries(pollard PUBLIC PkgConfig::libkqueue)
endif()
