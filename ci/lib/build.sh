# Read by the scripts of ci/ after common.sh: builds with CMake and Ninja.
# shellcheck shell=sh

# A build folder remembers its compiler; another $CXX has to begin afresh.
forget_other_compiler() {
  [ -n "${CXX:-}" ] && [ -f "$1/CMakeCache.txt" ] || return 0
  grep -q "^CMAKE_CXX_COMPILER:.*[/=]$(basename "$CXX")\$" "$1/CMakeCache.txt" ||
    rm -f "$1/CMakeCache.txt"
}

# configure FOLDER CMAKE_OPTION...
configure() {
  forget_other_compiler "$1"
  mkdir -p "$1"
  configure_folder=$1
  shift
  configure_log=$configure_folder/configure.log
  if ! cmake -S . -B "$configure_folder" -G Ninja "$@" > "$configure_log" 2>&1; then
    tail -n 30 "$configure_log" >&2
    return 1
  fi
}

# build FOLDER TARGET...: Ninja shows its own progress.
build() {
  build_folder=$1
  shift
  ninja -j "$(processors)" -C "$build_folder" "$@"
}
