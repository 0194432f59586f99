# What the libraries that we install have in common.

function(pollard_set_library_properties target)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    # A debug build can be installed beside a release build, and find_package picks from both.
    DEBUG_POSTFIX d
    VERSION ${PROJECT_VERSION}
    # Until version 1.0 a minor release may change what users write against.
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  pollard_set_warnings(${target})
  pollard_precompile_library(${target})
  pollard_export_namespace(${target})
endfunction()
