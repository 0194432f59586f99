# POLLARD_SANITIZE=address adds UndefinedBehaviorSanitizer too; what they find ends the program.

if(POLLARD_SANITIZE STREQUAL "address")
  set(pollard_sanitize_flags -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(POLLARD_SANITIZE STREQUAL "thread")
  set(pollard_sanitize_flags -fsanitize=thread)
elseif(POLLARD_SANITIZE)
  message(FATAL_ERROR "POLLARD_SANITIZE is '${POLLARD_SANITIZE}'; say 'address' or 'thread'")
endif()

if(POLLARD_SANITIZE)
  add_compile_options(${pollard_sanitize_flags} -fno-omit-frame-pointer -O1 -g1)
  add_link_options(${pollard_sanitize_flags})
endif()

# libFuzzer watches which code an input reaches, in all that is fuzzed.
if(POLLARD_BUILD_FUZZERS)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "POLLARD_BUILD_FUZZERS needs Clang, which has libFuzzer")
  endif()
  if(POLLARD_SANITIZE)
    message(FATAL_ERROR "POLLARD_BUILD_FUZZERS brings a sanitizer: leave POLLARD_SANITIZE empty")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
