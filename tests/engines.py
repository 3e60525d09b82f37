"""Other container engines from Debian's packages, each under a root, a socket and namespaces of its own.

Its network namespace is gone with it, and with that its bridges and firewall rules; what it leaves besides is removed.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

_PATIENCE = 60.0
_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_OPEN_FILES = 20_000
_PODMAN_CONFIG = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
"""Podman's own default is more than a container on this kind of machine may have."""


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """An engine that runs."""

    flavour: str
    socket: pathlib.Path
    pid: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells a command line where it is."""
        return {{"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}[self.flavour]: self.url}

    def inside(self, *command: object) -> list[str]:
        """Give a command that runs where the engine's containers can be reached: in its network namespace."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *(str(word) for word in command)]

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one call of its API, as a stranger would."""
        connection = _Connection(self.socket)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/v1.41/{path}", body=data, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text[:500]!r}"
            return json.loads(text) if text.strip() else None


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__("engine", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextlib.contextmanager
def running(flavour: str, folder: pathlib.Path) -> Iterator[Engine]:
    """Run an engine for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    cgroup = f"trimtab-test-{flavour}-{os.getpid()}"
    path = folder / "engine.sock"
    environment = dict(os.environ)
    if flavour == "docker":
        words = _dockerd(folder, path, cgroup)
    else:
        (folder / "containers.conf").write_text(_PODMAN_CONFIG)
        environment["CONTAINERS_CONF"] = str(folder / "containers.conf")
        words = _podman(folder, path)
    with started(words, folder / "log", environment) as process:
        engine = Engine(flavour, path, process.pid)
        try:
            _await(engine, process, folder / "log")
            yield engine
        finally:
            _remove_containers(engine)
    for left in sorted(_CGROUPS.glob(f"*/{cgroup}"), reverse=True):
        left.rmdir()


@contextlib.contextmanager
def started(
    words: Sequence[object], log: pathlib.Path, environment: dict[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program in network and mount namespaces of its own, and end it with the context.

    Podman keeps its address leases in one place of the host, whatever its roots are: there it finds a place of its own.
    """
    prepared = f'ip link set lo up; mount -t tmpfs tmpfs /run/containers; ulimit -n {_OPEN_FILES}; exec "$@"'
    pathlib.Path("/run/containers").mkdir(exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", prepared, "sh", *(str(word) for word in words)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            cwd=log.parent,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _dockerd(folder: pathlib.Path, path: pathlib.Path, cgroup: str) -> list[object]:
    return [
        *("dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"),
        *("--storage-driver", "overlay2", "--cgroup-parent", cgroup, "-H", f"unix://{path}"),
    ]


def _podman(folder: pathlib.Path, path: pathlib.Path) -> list[object]:
    (folder / "tmp").mkdir(exist_ok=True)
    return [
        *("podman", "--root", folder / "root", "--runroot", folder / "run", "--tmpdir", folder / "tmp"),
        *("--network-config-dir", folder / "networks", "--runtime", "runc", "--cgroup-manager", "cgroupfs"),
        *("system", "service", "--time", "0", f"unix://{path}"),
    ]


def _await(engine: Engine, process: "subprocess.Popen[bytes]", log: pathlib.Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, AssertionError):
            engine.call("GET", "version")
            return
        time.sleep(0.05)
    raise RuntimeError(f"{engine.flavour} does not answer: {log.read_text()[-2000:]}")


def _remove_containers(engine: Engine) -> None:
    """Take away what tests have left in it: processes outlive an engine, some engine's monitors too."""
    with contextlib.suppress(OSError):
        for one in engine.call("GET", "containers/json?all=true"):
            with contextlib.suppress(AssertionError):
                engine.call("DELETE", f"containers/{one['Id']}?force=true&v=true")
