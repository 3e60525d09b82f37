"""A git repository over HTTP with a password: what git's helpers show of it while they run, and to whom it is sent."""

import base64
import contextlib
import http.server
import os
import pathlib
import subprocess
import threading
from collections.abc import Iterator

import pytest

from agent.sources import api, git, git_location

PASSWORD = "s3cret-word"
EXPECTED = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()


class Server(http.server.ThreadingHTTPServer):
    """Serves one repository by ``git http-backend`` to whoever has the password, or sends all elsewhere."""

    daemon_threads = True
    repository = pathlib.Path()
    elsewhere = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.authorizations: list[str] = []
        self.command_lines: list[str] = []

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """Answer."""
        self._answer()

    def do_POST(self) -> None:
        """Answer."""
        self._answer()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self) -> None:
        self.server.command_lines += _command_lines()
        authorization = self.headers.get("Authorization", "")
        if authorization:
            self.server.authorizations.append(authorization)
        if self.server.elsewhere:
            self.send_response(302)
            self.send_header("Location", f"http://{self.server.elsewhere}{self.path}")
            self.end_headers()
        elif authorization != EXPECTED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._serve()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.server.repository.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        answer = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = answer.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _command_lines() -> list[str]:
    lines = []
    for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return lines


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "fleet"
    path.mkdir()
    (path / "web.yaml").write_text("1")
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "1"]):
        subprocess.run(["git", "-C", path, *identity, *arguments], check=True, capture_output=True)
    return path


@contextlib.contextmanager
def _serving(repository: pathlib.Path, elsewhere: str = "") -> Iterator[Server]:
    server = Server()
    server.repository, server.elsewhere = repository, elsewhere
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _source(server: Server, tmp_path: pathlib.Path, password: str = PASSWORD) -> git.GitSource:
    location = git_location.parse(f"git+http://me:{password}@{server.address}/fleet/.git")
    return git.GitSource(location, tmp_path / "sources", prefer_checkout=False)


async def test_snapshot__a_password__logs_in_and_stands_on_no_command_line_and_nowhere_on_disk(
    repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with _serving(repository) as server:
        snapshot = await _source(server, tmp_path).snapshot()
    assert [file.data for file in snapshot.files] == [b"1"]
    assert EXPECTED in server.authorizations
    assert any("remote-http" in line and server.address in line for line in server.command_lines)
    assert not any(PASSWORD in line for line in server.command_lines)
    kept = [path for path in (tmp_path / "sources").rglob("*") if path.is_file()]
    assert kept
    assert not any(PASSWORD.encode() in path.read_bytes() for path in kept)


async def test_snapshot__a_wrong_password__is_told_without_it(repository: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with _serving(repository) as server, pytest.raises(api.SourceUnavailable, match="Authentication failed") as caught:
        await _source(server, tmp_path, "wr0ng-word").snapshot()
    assert "wr0ng-word" not in str(caught.value)


async def test_snapshot__redirected_to_another_host__does_not_take_the_password_there(
    repository: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with (
        _serving(repository) as other,
        _serving(repository, other.address) as server,
        pytest.raises(api.SourceUnavailable),
    ):
        await _source(server, tmp_path).snapshot()
    assert other.authorizations == []
