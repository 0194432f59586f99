# What `cmake --install` leaves: headers, the library, find_package(pollard), pollard.pc, LICENSE.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(pollard_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pollard)

install(TARGETS pollard EXPORT pollardTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(folder IN LISTS pollard_folders)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pollard/${folder}
          FILES_MATCHING PATTERN "*.h")
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

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
configure_file(cmake/pollard.pc.in pollard.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pollard.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
