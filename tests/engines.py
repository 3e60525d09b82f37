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
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from agent.engine.kernel import api, linux

_PATIENCE = 60.0
_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_OPEN_FILES = 20_000
_BUILT_IN = frozenset({"bridge", "host", "none", "podman", "ingress"})
_PODMAN_CONFIG = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
"""Podman's own default is more than a container on this kind of machine may have."""


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """An engine that runs."""

    flavour: str
    socket: pathlib.Path
    pid: int
    """Of a process in its namespaces."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    @property
    def is_podman_4(self) -> bool:
        """Return whether it is Debian 12's Podman, which has faults that today's has not."""
        return self.flavour == "podman" and str(self.call("GET", "version")["Version"]).startswith("4.")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a command line to the engine."""
        return {{"docker": "DOCKER_HOST", "podman": "CONTAINER_HOST"}[self.flavour]: self.url}

    def inside(self, *command: object) -> list[str]:
        """Return a command that runs where the engine's containers can be reached: in its network namespace."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *(str(word) for word in command)]

    def with_own_programs(self, *command: object) -> list[str]:
        """Return a command that runs with the programs of the engine's own Debian: in its mount namespace.

        The namespace is there already, so that this costs a system call or two, and nothing is mounted for it.
        """
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", *(str(word) for word in command)]

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


GENERATION = "ENGINES"
"""The variable that says whose engines are meant: those of this host, or those of Debian 13 (``ops/debian13``)."""
THIS, DEBIAN_13 = "host", "debian13"
_ENTERED: dict[str, list[object]] = {
    THIS: ["unshare", "--net", "--mount"],
    DEBIAN_13: [
        pathlib.Path(__file__).parents[1] / "ops" / "debian13" / "enter.sh",
        *("--net", "--bind", tempfile.gettempdir(), "--bind", "/var/tmp"),
    ],
}
"""How its mount namespace is made: engines of Debian 13 and tests see the same files in the temporary directories."""
REGISTRY = "127.0.0.1:5000"
"""Where an engine finds a registry over plain HTTP: Podman 4.3 has to be told of each, before it pulls."""


@contextlib.contextmanager
def entered(engine: Engine) -> Iterator[None]:
    """Enter the engine's network namespace, where its containers can be reached, for as long as the context lasts."""
    kernel = linux.LinuxKernel()
    with _network_of("thread-self") as home, _network_of(str(engine.pid)) as engine_network:
        kernel.enter(engine_network, api.CLONE_NEWNET)
        try:
            yield
        finally:
            kernel.enter(home, api.CLONE_NEWNET)


@contextlib.contextmanager
def _network_of(process: str) -> Iterator[int]:
    descriptor = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__("engine", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Running:
    """An engine that can be stopped, hung and started again on the same host: its namespaces outlive it."""

    def __init__(self, engine: Engine, words: Sequence[object], log: pathlib.Path, environment: dict[str, str]) -> None:
        """Prepare an engine without starting it."""
        self.engine = engine
        self._words = words
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers; one that runs is left alone."""
        if self._process is not None:
            return
        host = [f"--{kind}=/proc/{self.engine.pid}/ns/{file}" for kind, file in (("net", "net"), ("mount", "mnt"))]
        command = ["nsenter", *host, "sh", "-c", f'ulimit -n {_OPEN_FILES}; exec "$@"', "sh", *map(str, self._words)]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._environment, cwd=self._log.parent
            )
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
                self.engine.call("GET", "version")
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.engine.flavour} does not answer: {self._log.read_text()[-2000:]}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it has ended; one that does not run is left alone."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        # Killed, it takes its containerd with it; where init buries nobody, that counts as one that runs.
        (self.engine.socket.parent / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def hang(self) -> None:
        """Suspend the process."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Resume the process."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it runs"
        self._process.send_signal(number)

    def restart(self) -> None:
        """Do both."""
        self.stop()
        self.start()

    def end(self) -> None:
        """End it with all that is in it: processes outlive an engine, some engine's monitors too."""
        try:
            self.start()
            emptied(self.engine)
        finally:
            self.stop()
            for pid in self._survivors():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _survivors(self) -> Iterator[int]:
        """Yield processes whose command line names its folder: Podman's monitors stay five minutes longer."""
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if f"{self.engine.socket.parent}/".encode() in path.read_bytes():
                    yield int(path.parent.name)


def emptied(engine: Engine) -> None:
    """Remove everything that is in an engine."""
    while listed := engine.call("GET", "containers/json?all=true"):
        for item in listed:
            with contextlib.suppress(AssertionError):  # it may have to wait for one that uses it
                engine.call("DELETE", f"containers/{item['Id']}?force=true&v=true")
    for item in engine.call("GET", "networks"):
        if item["Name"] not in _BUILT_IN:
            engine.call("DELETE", f"networks/{item['Name']}")
    for item in engine.call("GET", "volumes")["Volumes"] or ():
        engine.call("DELETE", f"volumes/{item['Name']}")
    for item in engine.call("GET", "images/json"):
        engine.call("DELETE", f"images/{item['Id']}?force=true")


@contextlib.contextmanager
def running(flavour: str, folder: pathlib.Path, generation: str | None = None) -> Iterator[Engine]:
    """Run an engine for as long as the context lasts."""
    with controlled(flavour, folder, generation) as engine:
        yield engine.engine


@contextlib.contextmanager
def controlled(flavour: str, folder: pathlib.Path, generation: str | None = None) -> Iterator[Running]:
    """Run an engine, with a hand on its switch; without a generation the one that the environment names."""
    folder.mkdir(parents=True, exist_ok=True)
    generation = generation or os.environ.get(GENERATION, THIS)
    cgroup = f"trimtab-test-{flavour}-{generation}-{os.getpid()}"  # both generations may run at once
    path = folder / "engine.sock"
    environment = dict(os.environ)
    if flavour == "docker":
        words = _dockerd(folder, path, cgroup)
    else:
        (folder / "containers.conf").write_text(_PODMAN_CONFIG)
        environment["CONTAINERS_CONF"] = str(folder / "containers.conf")
        (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{REGISTRY}"\ninsecure = true\n')
        environment["CONTAINERS_REGISTRIES_CONF"] = str(folder / "registries.conf")
        words = _podman(folder, path)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_cgroups, cgroup)
        engine = Running(
            Engine(flavour, path, stack.enter_context(_host(generation))), words, folder / "log", environment
        )
        stack.callback(engine.end)
        engine.start()
        yield engine


def _remove_cgroups(name: str) -> None:
    """Remove what an engine leaves empty behind, of its containers too; the last processes may only just be ending."""
    deadline = time.monotonic() + _PATIENCE
    for cgroup in sorted(_CGROUPS.glob(f"*/{name}/**/"), reverse=True):  # the innermost first
        while True:
            try:
                cgroup.rmdir()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@contextlib.contextmanager
def _host(generation: str) -> Iterator[int]:
    """Return the pid of a process in network and mount namespaces of its own.

    Podman keeps its address leases in one place of the host, whatever its roots are: there it finds a place of its own.
    """
    prepared = (
        "ip link set lo up; mkdir -p /run/containers; mount -t tmpfs tmpfs /run/containers; echo ready;"
        " exec sleep infinity"
    )
    words = [*_ENTERED[generation], "sh", "-c", prepared]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


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
