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
