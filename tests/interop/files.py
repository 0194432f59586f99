"""The file server: whole files, and nothing from outside of its folder."""

import http.client
import os
import signal
import subprocess

from harness import MEBIBYTE, STEP_SECONDS, Place, Server, require_program, some_bytes


def run(cases, programs, poller, folder):
    one = ["--poller=" + poller]
    for flags in (one, one + ["--threads=2"]):
        cases.run("files, " + " ".join(flags), check_files, programs, flags, folder)
    cases.run("downloads while it stops, " + poller, check_stop, programs, one, folder)
    cases.run("a file by curl, " + poller, check_curl, programs, one, folder)


def get(server, path, method="GET"):
    place = Place(server.address)
    connection = http.client.HTTPConnection(
        place.host, place.port, timeout=STEP_SECONDS
    )
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def make_tree(folder):
    root = os.path.join(folder, "root")
    os.makedirs(os.path.join(root, "below"), exist_ok=True)
    files = {
        "small": b"hello\n",
        "empty": b"",
        "with space": b"space",
        "below/large": some_bytes(8 * MEBIBYTE),
    }
    for name, content in files.items():
        with open(os.path.join(root, name), "wb") as file:
            file.write(content)
    with open(os.path.join(folder, "secret"), "w") as file:
        file.write("secret")
    os.makedirs(os.path.join(folder, "root-beside"), exist_ok=True)
    with open(os.path.join(folder, "root-beside", "secret"), "w") as file:
        file.write("secret")
    for link, target in [
        ("outside", "../secret"),
        ("absolute", os.path.join(folder, "secret")),
        ("folder-outside", ".."),
        ("inside", "below/large"),
    ]:
        if not os.path.islink(os.path.join(root, link)):
            os.symlink(target, os.path.join(root, link))
    if not os.path.exists(os.path.join(root, "pipe")):
        os.mkfifo(os.path.join(root, "pipe"))
    return root, files


def check_files(programs, flags, folder):
    root, files = make_tree(folder)
    arguments = ["--listen=127.0.0.1:0", "--root=" + root] + flags
    with Server(programs, arguments, name="file_server") as server:
        for name, content in files.items():
            path = "/" + name.replace(" ", "%20")
            assert get(server, path + "?query") == (200, content), "%s is not what it is" % name
            assert get(server, path, "HEAD") == (200, b""), "HEAD %s" % name
        assert get(server, "/inside") == (200, files["below/large"]), "a link inside is refused"
        for path in [
            "/outside",
            "/absolute",
            "/folder-outside/secret",
            "/../secret",
            "/%2e%2e/secret",
            "/below/../../secret",
            "/../root-beside/secret",
            "//etc/passwd",
            "/below",
            "/pipe",
            "/nothing",
            "/",
        ]:
            status, body = get(server, path)
            assert status in (400, 404), "%s: %d" % (path, status)
            assert b"secret" not in body and b"root:" not in body, "%s gave %r" % (path, body)
        for path, method in [("/%zz", "GET"), ("/%00", "GET"), ("small", "GET"), ("/small", "PUT")]:
            assert get(server, path, method)[0] == 400, "%s %s" % (method, path)
        with Place(server.address).connect() as babbler:
            try:
                babbler.sendall(b"x" * 100000)
                answer = babbler.recv(1000)
                assert b"431" in answer, "a request without an end: %r" % answer
            except ConnectionResetError:
                pass  # the answer was overtaken


# A server that is asked to stop serves the requests that have begun, to their end.
def check_stop(programs, flags, folder):
    root, files = make_tree(folder)
    arguments = ["--listen=127.0.0.1:0", "--root=" + root] + flags
    with Server(programs, arguments, name="file_server") as server:
        place = Place(server.address)
        with place.connect() as half, place.connect() as downloading, place.connect() as idle:
            half.sendall(b"GET /small HTTP/1.0\r\n")
            downloading.sendall(b"GET /below/large HTTP/1.0\r\n\r\n")
            first = downloading.recv(1000)
            os.kill(server.pid, signal.SIGTERM)
            assert idle.recv(1) == b"", "a connection without a request goes on"
            half.sendall(b"\r\n")
            assert to_the_end(half).endswith(files["small"]), "a request under way was cut"
            body = (first + to_the_end(downloading)).split(b"\r\n\r\n", 1)[1]
            assert body == files["below/large"], "a download under way was cut: %d" % len(body)
        assert server.process.wait(timeout=STEP_SECONDS) == 0, server.said()
        server.stop = lambda: None


def to_the_end(peer):
    all_of_it = b""
    while piece := peer.recv(65536):
        all_of_it += piece
    return all_of_it


def check_curl(programs, flags, folder):
    require_program("curl")
    root, files = make_tree(folder)
    arguments = ["--listen=127.0.0.1:0", "--root=" + root] + flags
    with Server(programs, arguments, name="file_server") as server:
        url = "http://%s/below/large" % server.address
        got = subprocess.run(
            ["curl", "-sS", "--http1.0", url],
            stdout=subprocess.PIPE,
            timeout=STEP_SECONDS,
            check=True,
        )
        assert got.stdout == files["below/large"], "curl got something else"
