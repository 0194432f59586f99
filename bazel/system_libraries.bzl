"""Libraries of the system as Bazel repositories, under the names of the Bazel Central Registry.

Only Pollard's tests and examples need them. On the bzlmod side the registry's own modules of the
same names stand in their place, so the labels in our BUILD files are right for both.
"""

# Where package managers put headers: the first is a folder that compilers search by themselves.
_PREFIXES = [
    "/usr",
    "/usr/local",
    "/opt/homebrew",
    "/opt/local",
    "/usr/pkg",
]

def _find_prefix(repository_ctx, header, packages):
    for prefix in _PREFIXES:
        if repository_ctx.path(prefix + "/include/" + header).exists:
            return prefix
    fail("%s is not in %s; install it: %s" % (
        header,
        ", ".join([prefix + "/include" for prefix in _PREFIXES]),
        packages,
    ))

def _write_library(repository_ctx, prefix, folder, name, defines = [], linkopts = []):
    hdrs = "[]"
    includes = []
    if prefix != "/usr":
        repository_ctx.symlink(prefix + "/include/" + folder, "include/" + folder)
        hdrs = "glob([\"include/**\"])"
        includes = ["include"]
        if linkopts:
            linkopts = ["-L%s/lib" % prefix, "-Wl,-rpath,%s/lib" % prefix] + linkopts
    repository_ctx.file("BUILD.bazel", """\
load("@rules_cc//cc:defs.bzl", "cc_library")

cc_library(
    name = "{name}",
    hdrs = {hdrs},
    defines = {defines},
    includes = {includes},
    linkopts = {linkopts},
    visibility = ["//visibility:public"],
)
""".format(name = name, hdrs = hdrs, defines = defines, includes = includes, linkopts = linkopts))

def _system_boost_test_impl(repository_ctx):
    prefix = _find_prefix(
        repository_ctx,
        "boost/test/unit_test.hpp",
        "libboost-test-dev on Debian, boost with Homebrew, boost-libs on FreeBSD",
    )
    _write_library(
        repository_ctx,
        prefix,
        "boost",
        "boost.test",
        defines = ["BOOST_TEST_DYN_LINK"],
        linkopts = ["-lboost_unit_test_framework"],
    )

system_boost_test = repository_rule(
    doc = "Boost.Test as the system has it, linked dynamically.",
    implementation = _system_boost_test_impl,
    configure = True,
    local = True,
)

def _system_cli11_impl(repository_ctx):
    prefix = _find_prefix(
        repository_ctx,
        "CLI/CLI.hpp",
        "libcli11-dev on Debian, cli11 with Homebrew and on FreeBSD",
    )
    _write_library(repository_ctx, prefix, "CLI", "cli11")

system_cli11 = repository_rule(
    doc = "CLI11 (headers only) as the system has it.",
    implementation = _system_cli11_impl,
    configure = True,
    local = True,
)
