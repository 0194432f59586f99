# Read by the scripts of ci/ after common.sh: `ensure TOOL...` installs what is missing with the
# system's package manager, and says what it installs. What is there already is not touched, and
# then no network is needed.
# shellcheck shell=sh

package_manager() {
  case $(uname -s) in
    Linux)
      if command -v apt-get > /dev/null; then echo apt; else echo none; fi
      ;;
    Darwin)
      if command -v brew > /dev/null; then echo brew; else echo none; fi
      ;;
    FreeBSD | DragonFly) echo pkg ;;
    NetBSD) echo pkgin ;;
    OpenBSD) echo pkg_add ;;
    *) echo none ;;
  esac
}

# A tool, what shows that it is here (a program, or a header with its folder), and the packages that
# hold it with apt, brew, pkg (FreeBSD, DragonFly), pkgin (NetBSD) and pkg_add (OpenBSD). A dash: no
# package does. A plus sign joins packages.
table='
cmake cmake cmake cmake cmake cmake cmake
ninja ninja ninja-build ninja ninja ninja-build ninja
cli11 CLI/CLI.hpp libcli11-dev cli11 cli11 cli11 cli11
boost boost/test/unit_test.hpp libboost-test-dev boost boost-libs boost boost
python3 python3 python3 python3 python3 python312 python%3
shellcheck shellcheck shellcheck shellcheck hs-ShellCheck shellcheck shellcheck
clang-format clang-format clang-format clang-format - - -
clang-tidy clang-tidy clang-tidy - - - -
doxygen doxygen doxygen doxygen doxygen doxygen doxygen
gcovr gcovr gcovr - - - -
npm npm npm node npm - -
socat socat socat socat socat socat socat
curl curl curl curl curl curl curl
nc nc netcat-openbsd - - - -
redis-cli redis-cli redis-tools redis redis redis redis
strace strace strace - - - -
valgrind valgrind valgrind - - - -
gnuplot gnuplot gnuplot-nox - - - -
pkg-config pkg-config pkg-config pkgconf pkgconf pkg-config -
libevent event2/event.h libevent-dev - - - -
libuv uv.h libuv1-dev - - - -
libev ev.h libev-dev - - - -
asio asio.hpp libasio-dev - - - -
benchmark benchmark/benchmark.h libbenchmark-dev - - - -
bazel bazel DEBIAN_BAZEL bazelisk bazel - -
'
debian_bazel=bazel-bootstrap+bazel-rules-cc+bazel-rules-java
debian_bazel=$debian_bazel+bazel-rules-proto+bazel-skylib+bazel-platforms

# row_of TOOL COLUMN
row_of() {
  printf '%s' "$table" | sed "s/DEBIAN_BAZEL/$debian_bazel/" |
    awk -v tool="$1" -v column="$2" '$1 == tool && $column != "-" { gsub("[+]", " ", $column)
      print $column }'
}

# packages_of TOOL MANAGER: the packages that hold it, or nothing where no package does.
packages_of() {
  case $1:$2 in
    compiler:apt)
      case ${CXX:-} in
        *clang++-*) echo "clang-${CXX##*-}" ;;
        *clang*) echo clang ;;
        *g++-*) echo "g++-${CXX##*-}" ;;
        *) echo g++ ;;
      esac
      ;;
    libfuzzer:apt) echo "libclang-rt-$(clang_major)-dev" ;;
    *-linux-gnu*-g++:apt) echo "g++-${1%-g++}" ;;
    qemu-*:apt) echo qemu-user ;;
    *:apt) row_of "$1" 3 ;;
    *:brew) row_of "$1" 4 ;;
    *:pkg) row_of "$1" 5 ;;
    *:pkgin) row_of "$1" 6 ;;
    *:pkg_add) row_of "$1" 7 ;;
  esac
}

has_header() {
  for has_header_prefix in /usr /usr/local /opt/homebrew /opt/local /usr/pkg; do
    if [ -e "$has_header_prefix/include/$1" ]; then return 0; fi
  done
  return 1
}

# The version of Clang that $CXX is.
clang_major() { "$CXX" -dumpversion | cut -d . -f 1; }

# Debian has Clang's runtime libraries in a package of their own.
has_libfuzzer() {
  has_libfuzzer_program=$(mktemp) || return 1
  has_libfuzzer_status=0
  echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$CXX" -fsanitize=fuzzer,address -x c++ - -o "$has_libfuzzer_program" > /dev/null 2>&1 ||
    has_libfuzzer_status=1
  rm -f "$has_libfuzzer_program"
  return "$has_libfuzzer_status"
}

has() {
  has_sign=$(row_of "$1" 2)
  case $1:$has_sign in
    libfuzzer:*) has_libfuzzer ;;
    compiler:*) command -v "${CXX:-c++}" > /dev/null ;;
    bazel:*) command -v bazel > /dev/null && { [ ! -e /etc/debian_version ] || has_bazel_rules; } ;;
    *.h | *.hpp) has_header "$has_sign" ;;
    *) command -v "$1" > /dev/null ;;
  esac
}

# Debian's own Bazel needs Debian's rules (see ci/bazel); another one fetches them.
has_bazel_rules() {
  [ ! -e /usr/share/doc/bazel-bootstrap ] || [ -e /usr/share/bazel/rules/cc ]
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  elif command -v doas > /dev/null; then
    doas "$@"
  else
    warn "not root, and neither sudo nor doas is here to run: $*"
    return 1
  fi
}

install_packages() {
  manager=$1
  shift
  case $manager in
    apt)
      as_root apt-get -q -o DPkg::Lock::Timeout=300 update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
          install -y --no-install-recommends "$@"
      ;;
    brew) brew install "$@" ;;
    pkg) as_root env ASSUME_ALWAYS_YES=yes pkg install "$@" ;;
    pkgin) as_root pkgin -y install "$@" ;;
    pkg_add) as_root pkg_add -I "$@" ;;
  esac
}

# try_ensure TOOL...: installs the missing ones, and fails if one is missing afterwards; then
# $missing names them.
try_ensure() {
  manager=$(package_manager)
  packages=
  for tool; do
    has "$tool" || packages="$packages$(packages_of "$tool" "$manager") "
  done
  packages=$(echo "$packages" | tr -s ' ')
  if [ -n "${packages# }" ]; then
    say "installing with $manager: $packages"
    mkdir -p build
    # shellcheck disable=SC2086  # a list of packages
    if ! install_packages "$manager" $packages > build/install.log 2>&1; then
      warn "the installation failed; the end of build/install.log:"
      tail -n 5 build/install.log >&2
    fi
  fi
  missing=
  for tool; do
    has "$tool" || missing="$missing $tool"
  done
  [ -z "$missing" ]
}

# ensure TOOL...: as try_ensure; what can't be had ends the script with a word on where to get it.
ensure() {
  try_ensure "$@" && return
  for tool in $missing; do
    packages=$(packages_of "$tool" "$manager")
    case $tool in
      libfuzzer) warn "missing: libFuzzer and AddressSanitizer of $CXX (Clang's compiler-rt)" ;;
      compiler) warn "missing: a C++20 compiler (GCC 11 or Clang 14 or newer) called ${CXX:-c++}" ;;
      cmake) warn "missing: CMake 3.22 or newer, https://cmake.org/download" ;;
      ninja) warn "missing: Ninja, https://ninja-build.org" ;;
      cli11) warn "missing: CLI11 (headers), https://github.com/CLIUtils/CLI11" ;;
      boost) warn "missing: Boost.Test (headers and library), https://www.boost.org" ;;
      *) warn "missing: $tool" ;;
    esac
    [ -z "$packages" ] || warn "  here it is the package $packages ($manager)"
    [ "$(uname -s):$tool" != Darwin:compiler ] || warn "  here: xcode-select --install"
    [ "$manager" != none ] || warn "  no package manager that ci/ knows is on this system"
  done
  die "install what is missing, then run this again"
}
