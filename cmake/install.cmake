# What `cmake --install` leaves: headers, the libraries, find_package(pollard), pollard.pc, the
# licence and the documents.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(pollard_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pollard)

set(pollard_targets pollard pollard_sim)
set(pollard_api pollard.h testkit/sim/faults.h testkit/sim/kernel.h)
if(TARGET pollard_conformance)
  list(APPEND pollard_targets pollard_conformance)
  list(APPEND pollard_api testkit/conformance/conformance.h testkit/conformance/differential.h
                          testkit/conformance/driven.h)
endif()

install(TARGETS ${pollard_targets} EXPORT pollardTargets
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
include(cmake/header_closure.cmake)
pollard_header_closure(pollard_installed_headers ${pollard_api})
foreach(header IN LISTS pollard_installed_headers)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pollard/${folder})
endforeach()
install(FILES LICENSE README.md CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.cc" PATTERN tutorial/CMakeLists.txt)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs
        FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
# The reference, if ci/docs has made it.
install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/build/docs/html DESTINATION ${CMAKE_INSTALL_DOCDIR}
        OPTIONAL)

install(EXPORT pollardTargets NAMESPACE pollard:: DESTINATION ${pollard_package_dir})
configure_package_config_file(cmake/pollardConfig.cmake.in pollardConfig.cmake
                              INSTALL_DESTINATION ${pollard_package_dir})
# Until version 1.0 a minor release may change what users write against.
write_basic_package_version_file(pollardConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pollardConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/pollardConfigVersion.cmake
        DESTINATION ${pollard_package_dir})

# Relative to the .pc file, for `cmake --install --prefix` may put it anywhere; a folder that was
# given as an absolute one stays where it is.
file(RELATIVE_PATH pollard_pc_to_prefix
     ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
cmake_path(APPEND pollard_pc_includedir "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
cmake_path(APPEND pollard_pc_libdir "\${prefix}" ${CMAKE_INSTALL_LIBDIR})

# A debug build has files of its own, pollard-debug.pc and libpollardd, beside those of a release.
foreach(name IN ITEMS pollard pollard-sim)
  set(pollard_pc_suffix)
  set(pollard_pc_postfix)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  set(pollard_pc_suffix -debug)
  set(pollard_pc_postfix d)
  configure_file(cmake/${name}.pc.in ${name}-debug.pc @ONLY)
endforeach()
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pollard$<$<CONFIG:Debug>:-debug>.pc
              ${CMAKE_CURRENT_BINARY_DIR}/pollard-sim$<$<CONFIG:Debug>:-debug>.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
