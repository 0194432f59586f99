"""The warnings that Pollard is built with: one list for both builds.

CMake reads the lines that begin with a quoted -W from this file (cmake/warnings.cmake), so a
warning that is added here is added everywhere. Every one of them exists in GCC 10 and Clang 14.
In our own tree they are errors (.bazelrc, POLLARD_WERROR); the compiler of somebody who uses
Pollard may be newer than ours, and know more.
"""

COPTS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wcast-align",
    "-Wcast-qual",
    "-Wconversion",
    "-Wdouble-promotion",
    "-Wextra-semi",
    "-Wformat=2",
    "-Wimplicit-fallthrough",
    "-Wmissing-declarations",
    "-Wnon-virtual-dtor",
    "-Wold-style-cast",
    "-Woverloaded-virtual",
    "-Wshadow",
    "-Wsign-conversion",
    "-Wundef",
    "-Wunused",
    "-Wvla",
    # Designated initialisers leave out what keeps its default.
    "-Wno-missing-field-initializers",
]
