"""The rules are tested too: for each one text that it must catch, and text that it must not."""

from rules import (
    RULES,
    File,
    abbreviations,
    asserts,
    banned_words,
    clocks,
    columns,
    conditionals,
    cross_thread_this,
    dependencies,
    errno,
    exits,
    function_length,
    markers,
    opening_comment,
    pragma_once,
    prints,
    sleeps,
    std_bind,
    system_calls,
    system_headers,
    using_namespace_std,
    violations,
)


def function_of(lines, head="int f(int a) {"):
    return head + "\n" + "  g();\n" * (lines - 2) + "}\n"


# Rule, path, text, and the lines on which the rule must find something.
SAMPLES = [
    (conditionals, "net/a.cc", "#ifdef __linux__\n#endif\n", [1]),
    (conditionals, "tests/net/a_test.cc", "\n  #  if FAST\n#elif SLOW\n#endif\n", [2, 3]),
    (conditionals, "platform/a.cc", "#ifdef __linux__\n#endif\n", []),
    (conditionals, "base/a.h", "#pragma once\n// #if is a word here\n#define A 1\n", []),
    (system_headers, "poller/a.cc", "#include <sys/epoll.h>\n#include <unistd.h>\n", [1, 2]),
    (system_headers, "net/a.cc", "#include <cerrno>\n", [1]),
    (system_headers, "net/a.cc", '#include <vector>\n#include "pollard/net/bytes/buffer.h"\n', []),
    (system_headers, "platform/a.cc", "#include <sys/epoll.h>\n", []),
    (system_headers, "tests/net/a_test.cc", "#include <sys/socket.h>\n", []),
    (system_headers, "bench/ours/a.cc", "#include <sys/socket.h>\n", [1]),
    (system_headers, "bench/parts/a.cc", "#include <unistd.h>\n", [1]),
    (system_headers, "bench/parts/a.cc", "#include <benchmark/benchmark.h>\n", []),
    (system_headers, "bench/floors/a.cc", "#include <sys/epoll.h>\n", []),
    (system_headers, "bench/peers/a.cc", "#include <uv.h>\n", []),
    (errno, "bench/ours/a.cc", "return errno;\n", [1]),
    (errno, "bench/floors/a.cc", "return errno;\n", []),
    (errno, "net/a.cc", "if (errno == 4) return;\n", [1]),
    (errno, "net/a.cc", "// errno is not read here\nlog_errno();\n", []),
    (errno, "platform/a.cc", "return errno;\n", []),
    (dependencies, "base/a.h", '#include "pollard/platform/time.h"\n', [1]),
    (dependencies, "platform/a.h", '#include "pollard/net/loop/channel.h"\n', [1]),
    (dependencies, "poller/a.h", '#include "pollard/net/loop/channel.h"\n', [1]),
    (dependencies, "net/a.h", '#include "pollard/testkit/faults.h"\n', [1]),
    (dependencies, "testkit/a.h", '#include "pollard/tests/support/fake.h"\n', [1]),
    (dependencies, "testkit/a.h", '#include "pollard/net/loop/channel.h"\n', []),
    (dependencies, "examples/a.cc", '#include "pollard/tests/support/fake.h"\n', [1]),
    (dependencies, "net/a.cc", '#include "channel.h"\n#include "net/loop/channel.h"\n', [1, 2]),
    (dependencies, "net/a.cc", '#include "pollard/poller/poller.h"\n', []),
    (dependencies, "examples/a.cc", '#include "support/flags.h"\n', []),
    (markers, "ci/a", "# TODO: later\n", [1]),
    (markers, "net/a.cc", "// XXX\n// FIXME(me)\n// HACK\n", [1, 2, 3]),
    (markers, "ci/a", "mktemp /tmp/a.XXXXXX\n", []),
    (columns, "net/a.cc", "x" * 100 + "\n" + "x" * 101 + "\n", [2]),
    (columns, "net/a.cc", "é" * 100 + "\n", []),
    (function_length, "net/a.cc", function_of(71), [1]),
    (function_length, "net/a.cc", function_of(70), []),
    (function_length, "net/a.cc", "namespace a {\n\n" + function_of(71) + "}\n", [3]),
    (function_length, "net/a.cc", "class A : B {\n public:\n" + function_of(71) + "};\n", [3]),
    (function_length, "net/a.cc", "class A {\n" + function_of(40) * 2 + "};\n", []),
    (function_length, "net/a.cc", function_of(71, "A::A(int b) : a(b) {"), [1]),
    (function_length, "net/a.cc", function_of(71, "BOOST_AUTO_TEST_CASE(a) {"), [1]),
    (function_length, "net/a.cc", function_of(71, "auto f(int a) const noexcept -> int {"), [1]),
    (function_length, "net/a.cc", "int table[] = {\n" + "  f(1),\n" * 80 + "};\n", []),
    (function_length, "net/a.cc", 'const char* a = "{ ( ";\n' + function_of(70), []),
    (cross_thread_this, "net/a.cc", "loop->post([this] { close(); });\n", [1]),
    (cross_thread_this, "net/a.cc", "loop.post(\n    [a, this]() mutable { a(); });\n", [1]),
    (cross_thread_this, "net/a.cc", "loop.post([&] { a(); });\nloop.post([=] { a(); });\n", [1, 2]),
    (cross_thread_this, "net/a.cc", "loop.post([self = weak_from_this()] { a(); });\n", []),
    (cross_thread_this, "net/a.cc", "loop.post([task = std::move(task)] { task(); });\n", []),
    (cross_thread_this, "net/a.cc", "loop.post([weak = this->alive_] { a(); });\n", []),
    (pragma_once, "net/a.h", "#ifndef A\n#define A\n#endif\n", [1]),
    (pragma_once, "net/a.h", "// A.\n#pragma once\n", []),
    (opening_comment, "net/a.h", "#pragma once\n", [1]),
    (opening_comment, "net/a.h", "// What it promises.\n#pragma once\n", []),
    (std_bind, "net/a.cc", "f(std::bind(&A::b, this));\n", [1]),
    (std_bind, "net/a.cc", "// not std::bind\nsocket.bind(address);\n", []),
    (using_namespace_std, "tests/net/a.cc", "using namespace std;\n", [1]),
    (using_namespace_std, "tests/net/a.cc", "using namespace std::chrono_literals;\n", []),
    (exits, "net/a.cc", "if (bad) std::abort();\n  exit(1);\n", [1, 2]),
    (exits, "net/a.cc", "loop.exit();\non_exit(a);\n", []),
    (asserts, "net/a.cc", "#include <cassert>\nassert(a);\n", [1, 2]),
    (asserts, "net/a.cc", "static_assert(a);\nloop.assert_in_loop_thread();\n", []),
    (clocks, "net/a.cc", "auto a = std::chrono::steady_clock::now();\n", [1]),
    (clocks, "tests/net/a.cc", "auto a = std::chrono::steady_clock::now();\n", []),
    (prints, "net/a.cc", "std::cerr << a;\nstd::fprintf(stderr, a);\n", [1, 2]),
    (prints, "base/log.cc", "std::fprintf(stderr, a);\n", []),
    (system_calls, "platform/socket.cc", "const int a = ::accept4(b, c, d, e);\n", [1]),
    (system_calls, "platform/socket.cc", "system_calls().accept4(b, c);\nA::read(b);\n", []),
    (system_calls, "platform/system_calls.cc", "return checked(::close(fd));\n", []),
    (abbreviations, "net/a.cc", "int conn = 1;\nf(read_buf);\nauto msgs = g();\n", [1, 2, 3]),
    (abbreviations, "net/a.cc", "int connection = 1;  // conn\nint result = address;\n", []),
    (abbreviations, "platform/a.cc", "address.sin_addr = a;\n", []),
    (banned_words, "ci/a", "# A sanity check.\n", [1]),
    (banned_words, "net/a.h", "// A check.\n", []),
    (sleeps, "tests/net/a.cc", "std::this_thread::sleep_for(1ms);\n", [1]),
    (sleeps, "tests/net/a.cc", "f();  // tidy-allow(sleeps): a sleep( in words\n", []),
    (sleeps, "tests/net/a.cc", "sleep(1);  // tidy-allow(sleeps): it tests sleep\n", []),
]


def run():
    """Yields a name and, where the rule did otherwise than the sample says, what it did."""
    for number, (rule, path, text, expected) in enumerate(SAMPLES, 1):
        found = violations(rule, File(path, text))
        problem = None
        if found != expected:
            problem = "found lines %s, not %s, of:\n%s" % (found, expected, text[:200])
        yield "sample %d: %s in %s" % (number, rule.__name__, path), problem
    for rule in RULES:
        caught = any(sample[0] is rule and sample[3] for sample in SAMPLES)
        yield "%s has a sample" % rule.__name__, None if caught else "no sample that it catches"
