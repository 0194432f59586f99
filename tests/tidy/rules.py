"""Pollard's own rules of style: those that no linter knows.

A rule looks at one file and yields the lines that break it. Its message says what to write instead.
A line that has to break a rule says so, and why, in a comment: `tidy-allow(rule): why`.
"""

import re

FOLDERS = ["base", "platform", "poller", "net"]
# What each folder may include, by include path.
MAY_INCLUDE = {
    "base": {"base"},
    "platform": {"base", "platform"},
    "poller": {"base", "platform", "poller"},
    "net": {"base", "platform", "poller", "net"},
    "testkit": {"base", "platform", "poller", "net", "testkit"},
    "examples": {"base", "platform", "poller", "net", "testkit"},
    "tests": {"base", "platform", "poller", "net", "testkit", "tests"},
    "bench": {"base", "platform", "poller", "net", "testkit", "tests"},
}
# The rooms of net/: each may include those before it.
ROOMS = ["bytes", "timers", "loop", "names", "tcp", "framing", "requests"]
# Where the system is reached through platform/ alone. The bench compares with programs that reach
# it by themselves (its floors and peers), and gives them work; but ours are as a user's are.
ABOVE_SEAM = ["base", "poller", "net", "examples"]
OURS_IN_BENCH = ("bench/ours/", "bench/parts/")
# The test that is about Linux: it compares the simulated kernel with it.
LINUX_TESTS = {"tests/platform/sim_likeness_test.cc"}
MAX_COLUMNS = 100
MAX_FUNCTION_LINES = 70

_COMMENT_OR_STRING = re.compile(
    r"""//[^\n]*|/\*.*?\*/"""
    r"""|R"(?P<d>[^(\s]*)\(.*?\)(?P=d)\""""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)


class File:
    """A file of the tree: `path` is relative to its root, with slashes."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.folder = path.split("/")[0] if "/" in path else ""
        self.is_header = path.endswith(".h")
        self.is_cpp = path.endswith((".h", ".cc"))
        self.is_document = path == "README.md" or path.startswith("docs/")
        self.is_simulator = path.startswith("testkit/sim/")
        self.in_library = self.folder in FOLDERS or self.is_simulator
        # Which calls only what is beneath it: the library above the seam, and who uses it.
        self.above_seam = self.folder in ABOVE_SEAM or path.startswith(OURS_IN_BENCH)
        self._code = None

    @property
    def code(self):
        """The text with comments and the insides of literals blanked; lines stay where they are."""
        if self._code is None:
            self._code = _COMMENT_OR_STRING.sub(_blank, self.text) if self.is_cpp else self.text
        return self._code

    def allows(self, rule, line):
        return "tidy-allow(%s): " % rule in self.lines[line - 1]


def _blank(match):
    literal = match.group()
    if literal.startswith("/"):
        return re.sub(r"[^\n]", " ", literal)
    return '"' + re.sub(r"[^\n]", " ", literal[1:-1]) + '"'


def _matching_lines(text, pattern):
    for match in re.finditer(pattern, text, re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1


def conditionals(file):
    """only platform/ has preprocessor conditionals: ask a function of platform/ instead (a
    mechanism that is absent answers ENOSYS), and guard a header with #pragma once"""
    if file.is_cpp and file.folder != "platform":
        yield from _matching_lines(file.code, r"^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)\b")


def system_headers(file):
    """only platform/ (and a test, and what the bench compares with) includes a system's header:
    include what platform/ offers, or the C++ header (<cstring> for <string.h>)"""
    if file.is_cpp and file.above_seam:
        pattern = r"^[ \t]*#[ \t]*include[ \t]*<(?!benchmark/)([^>]*\.h|cerrno)>"
        yield from _matching_lines(file.code, pattern)


def errno(file):
    """errno is read in platform/ alone: take the std::error_code that its functions return"""
    if file.is_cpp and file.above_seam:
        yield from _matching_lines(file.code, r"\berrno\b")


def dependencies(file):
    """dependencies run one way, base <- platform <- poller <- net <- testkit <- (tests, examples,
    bench), and are written "pollard/<folder>/<file>.h": move what is needed down, or what needs it
    up; in net/ bytes <- timers <- loop <- names <- tcp <- framing <- requests"""
    allowed = MAY_INCLUDE.get(file.folder)
    if not file.is_cpp or allowed is None:
        return
    for number, line in enumerate(file.lines, 1):
        match = re.match(r'\s*#\s*include\s*"([^"]*)"', line)
        if not match:
            continue
        parts = match.group(1).split("/")
        if match.group(1) == "pollard/pollard.h":
            wrong = file.in_library
        elif parts[0] == "pollard":
            wrong = len(parts) < 3 or parts[1] not in allowed or _climbs(file.path, parts)
        else:
            wrong = file.in_library
        if wrong:
            yield number


_INTERNAL_INCLUDE = (
    r'^[ \t]*#[ \t]*include[ \t]*"pollard/(platform/|([\w/]*/)?internal/)'
)


def user_includes(file):
    """an example, and a listing in README.md or docs/, includes the API alone: no header of
    platform/, no header of an internal/ folder; what it needs belongs in an API header (see
    net/loop/descriptors.h and poller/mechanism.h)"""
    if file.is_document or (file.folder == "examples" and file.is_cpp):
        yield from _matching_lines(file.text, _INTERNAL_INCLUDE)


def _climbs(path, included):
    """Whether a file of a room of net/ includes one of a room that stands above it."""
    own = path.split("/")
    if own[0] != "net" or included[1] != "net":
        return False
    return included[2] not in ROOMS or ROOMS.index(included[2]) > ROOMS.index(own[1])


def markers(file):
    """no marker of unfinished work: finish it, or state the limit in a sentence that stays true"""
    if not file.path.startswith("tests/tidy/"):
        yield from _matching_lines(file.text, r"\b(FIXME|TODO|XXX|HACK)\b")


def columns(file):
    """at most 100 columns: break the line"""
    if file.is_document:  # the row of a table can't be broken
        return
    for number, line in enumerate(file.lines, 1):
        if len(line) > MAX_COLUMNS:
            yield number


def function_length(file):
    """a function fits on a screen (70 lines): give its parts names, as functions of their own"""
    if file.is_cpp:
        for first, last in function_spans(file.code):
            if last - first + 1 > MAX_FUNCTION_LINES:
                yield first


def function_spans(code):
    """First and last line of each outermost function in code without comments and literals."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", _blank_directive, code, flags=re.MULTILINE)
    parentheses = 0
    head_start = 0  # where the declaration at hand began
    scopes = []  # for each open brace: None, or the offset where its function began
    for match in re.finditer(r"[(){};]", code):
        character = match.group()
        if character in "()":
            parentheses += 1 if character == "(" else -1
        elif character == "{":
            in_function = any(start is not None for start in scopes)
            head = code[head_start : match.start()]
            access = re.match(r"\s*((public|private|protected)\s*:)?\s*", head)
            first = head_start + access.end()
            head = head[access.end() :]
            opens = not in_function and parentheses == 0 and _is_function_head(head)
            scopes.append(first if opens else None)
            head_start = match.end()
        elif character == "}" and scopes:
            start = scopes.pop()
            if start is not None:
                yield code.count("\n", 0, start) + 1, code.count("\n", 0, match.start()) + 1
            head_start = match.end()
        elif character == ";" and parentheses == 0:
            head_start = match.end()


def _blank_directive(match):
    return re.sub(r"[^\n]", " ", match.group())


def _is_function_head(head):
    head = re.sub(r"^template\s*<[^{;]*>\s*", "", head)
    if re.match(r"(inline\s+)?(namespace|class|struct|union|enum|extern\s*\"[^\"]*\"$)\b", head):
        return False
    return ")" in head and not head.rstrip().endswith(("=", ","))


def cross_thread_this(file):
    """a task that is posted may run after its object died: capture a weak reference (a
    std::weak_ptr from weak_from_this(), or a weak token of the object), never this, [&] or [=]"""
    if file.is_cpp and file.folder in ("poller", "net", "examples"):
        pattern = r"\b(post|dispatch)\(\s*\[(\s*[&=]\s*[\],]|[^\]]*(?<![.\w>])\*?this\b(?!->))"
        yield from _matching_lines(file.code, pattern)


def pragma_once(file):
    """a header is guarded with #pragma once"""
    if file.is_header and "\n#pragma once\n" not in "\n" + file.text:
        yield 1


def opening_comment(file):
    """a header of the library opens with a comment that says what it promises"""
    if file.is_header and file.in_library and not file.text.startswith("//"):
        yield 1


def std_bind(file):
    """no std::bind: write a lambda"""
    if file.is_cpp:
        yield from _matching_lines(file.code, r"\bstd::bind(_front|_back)?\b")


def using_namespace_std(file):
    """no `using namespace std`: write std:: (namespaces of literals are welcome)"""
    if file.is_cpp:
        yield from _matching_lines(file.code, r"\busing\s+namespace\s+std\s*;")


def exits(file):
    """the library never ends its user's process: return a std::error_code, throw, or assert"""
    if file.is_cpp and file.in_library and not file.path.startswith("base/assert."):
        pattern = r"(?<![\w.>:])(std::)?(exit|_exit|quick_exit|abort|terminate)\s*\("
        yield from _matching_lines(file.code, pattern)


def asserts(file):
    """no assert(), which vanishes in a release: write POLLARD_ASSERT(condition, "why it holds")"""
    if file.is_cpp and file.in_library:
        yield from _matching_lines(file.code, r"(?<![\w.>:])assert\s*\(|#\s*include\s*<cassert>")


def clocks(file):
    """the library has one clock, and a test can own it: platform::monotonic_now(), or the loop's
    now() and timers"""
    if file.is_cpp and file.in_library and not file.is_simulator:
        pattern = r"\b(system_clock|steady_clock|high_resolution_clock)\b"
        yield from _matching_lines(file.code, pattern)


def prints(file):
    """the library speaks through log() of base/log.h alone: return what is wrong, or log it"""
    speakers = ("base/assert.cc", "base/log.cc")
    if file.is_cpp and file.in_library and file.path not in speakers:
        yield from _matching_lines(file.code, r"\bstd::(cout|cerr|clog)\b|\bv?f?printf\s*\(")


# What SystemCalls of platform/system_calls.h has.
_SYSTEM_CALLS = (
    "close|read|write|pread|open|unlink|lstat|fcntl|pipe2?|eventfd|sigaction|socket|bind|listen|"
    "accept4?|connect|shutdown|get(sock|peer)name|[gs]etsockopt|recv|send|sendmsg|sendfile|"
    "[gs]etrlimit|"
    "epoll_(create1|ctl|wait|pwait2)|kqueue|kevent|p?poll|p?select|(get|free)addrinfo|clock_gettime"
)


def system_calls(file):
    """a system call goes through the table, so that a test can take its place:
    system_calls().name(...) or its wrapper in platform/"""
    exempt = file.is_simulator or file.path == "platform/system_calls.cc"
    if file.is_cpp and file.in_library and not exempt:
        yield from _matching_lines(file.code, r"(?<![\w>])::(%s)\s*\(" % _SYSTEM_CALLS)


_ABBREVIATIONS = (
    "addr|buf|cb|cfg|cnt|conn|ctx|err|evt|idx|len|mgr|msg|num|prev|res|ret|sock|srv|tmp|util|val"
)


def abbreviations(file):
    """names are words: write address for addr, size for len, connection for conn, what it is for
    tmp and ret (fd alone is the field's own)"""
    if file.is_cpp and file.folder in ("base", "poller", "net"):
        pattern = r"(?<![A-Za-z])(%s)s?(?![A-Za-z])" % _ABBREVIATIONS
        yield from _matching_lines(file.code, pattern)


_BANNED_WORDS = "whitelist|blacklist|sanity|dummy|kludge|grandfathered|obviously|utili[sz]e"


def banned_words(file):
    """a plain word says it: allowed and refused for whitelist and blacklist, check for sanity
    check, stand-in for dummy, use for utilise; and who finds it obvious needn't be told"""
    if not file.path.startswith("tests/tidy/"):
        yield from _matching_lines(file.text, r"(?i)\b(%s)" % _BANNED_WORDS)


def sleeps(file):
    """a test waits for an event, never for time to pass: run the loop until what you wait for"""
    if file.is_cpp and file.folder == "tests":
        pattern = r"\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\("
        yield from _matching_lines(file.code, pattern)


_LINUX_IN_CODE = (
    r"::(?:accept4|epoll_\w+|eventfd|timerfd_\w+|signalfd|prctl|gettid)\("
    r"|\b(?:SOCK_NONBLOCK|SOCK_CLOEXEC|MSG_NOSIGNAL|POLLRDHUP|EPOLL[A-Z]+)\b"
    r"|<(?:sys/(?:epoll|eventfd|timerfd|signalfd|prctl)|linux/\w+)\.h>"
    r"|\bfail\(\s*Call::\w+,\s*\d|\bvalue\(\)\s*[=!]=\s*-?[1-9]\d{0,2}\b"
)


def linux_in_tests(file):
    """a test runs on every system: no call, flag or header that Linux alone has, no errno as a
    number, no path in /proc or /sys. Go through the table of system calls or platform/, name the
    error (std::errc::connection_reset); a test about Linux itself stands in LINUX_TESTS"""
    in_tests = file.folder in ("tests", "testkit") and not file.is_simulator
    if not file.is_cpp or not in_tests or file.path in LINUX_TESTS:
        return
    found = set(_matching_lines(file.code, _LINUX_IN_CODE))
    found.update(_matching_lines(file.text, r'"/(?:proc|sys)/'))
    yield from sorted(found)


RULES = [
    conditionals,
    system_headers,
    errno,
    dependencies,
    user_includes,
    markers,
    columns,
    function_length,
    cross_thread_this,
    pragma_once,
    opening_comment,
    std_bind,
    using_namespace_std,
    exits,
    asserts,
    clocks,
    prints,
    system_calls,
    abbreviations,
    banned_words,
    sleeps,
    linux_in_tests,
]


def message(rule):
    return " ".join(rule.__doc__.split())


def violations(rule, file):
    """The lines of the file that break the rule and do not say why they must."""
    return [line for line in rule(file) if not file.allows(rule.__name__, line)]
