# A shared library of ours exports what is in namespace pollard, and nothing that its code happened
# to instantiate of the standard library. The linker is told by a list of patterns, of which there
# are two dialects; where it knows neither, everything is exported.

include(CheckLinkerFlag)

# The mangled names (Itanium C++ ABI 5.1) of functions and variables, also in functions and
# templates, of const member functions, of vtables and type information, and of guards and thunks.
set(pollard_symbol_patterns
  _ZN7pollard* _ZNK7pollard* _ZZN7pollard* _ZZNK7pollard*
  _ZT?N7pollard* _ZTh*_N7pollard* _ZTh*_NK7pollard* _ZTv*_N7pollard*
  _ZGVN7pollard* _ZGVZN7pollard* _ZGVZNK7pollard*)

set(pollard_version_script ${CMAKE_CURRENT_BINARY_DIR}/pollard.map)
string(REPLACE ";" "; " pollard_map_patterns "${pollard_symbol_patterns}")
file(CONFIGURE OUTPUT ${pollard_version_script}
     CONTENT "{ global: @pollard_map_patterns@; local: *; };\n" @ONLY)

set(pollard_symbol_list ${CMAKE_CURRENT_BINARY_DIR}/pollard.symbols)
list(TRANSFORM pollard_symbol_patterns PREPEND "_" OUTPUT_VARIABLE pollard_list_patterns)
string(REPLACE ";" "\n" pollard_list_patterns "${pollard_list_patterns}")
file(CONFIGURE OUTPUT ${pollard_symbol_list} CONTENT "@pollard_list_patterns@\n" @ONLY)

function(pollard_export_namespace target)
  get_target_property(type ${target} TYPE)
  if(NOT type STREQUAL "SHARED_LIBRARY")
    return()
  endif()
  set_target_properties(${target} PROPERTIES VISIBILITY_INLINES_HIDDEN ON)
  check_linker_flag(CXX "LINKER:--version-script=${pollard_version_script}"
                    POLLARD_LINKER_HAS_VERSION_SCRIPT)
  check_linker_flag(CXX "LINKER:-exported_symbols_list,${pollard_symbol_list}"
                    POLLARD_LINKER_HAS_SYMBOL_LIST)
  if(POLLARD_LINKER_HAS_VERSION_SCRIPT)
    target_link_options(${target} PRIVATE LINKER:--version-script=${pollard_version_script})
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${pollard_version_script})
  elseif(POLLARD_LINKER_HAS_SYMBOL_LIST)
    target_link_options(${target} PRIVATE LINKER:-exported_symbols_list,${pollard_symbol_list})
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${pollard_symbol_list})
  endif()
endfunction()
