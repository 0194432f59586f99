# Every header is included as pollard/<folder>/<file>.h, inside the tree and by users. The folders
# stand at the root of the tree, so the build tree gets an include folder that points at them.

function(pollard_make_include_tree include_dir)
  file(MAKE_DIRECTORY ${include_dir}/pollard)
  foreach(folder IN LISTS ARGN)
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${folder} ${include_dir}/pollard/${folder} SYMBOLIC)
  endforeach()
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/pollard.h ${include_dir}/pollard/pollard.h SYMBOLIC)
endfunction()
