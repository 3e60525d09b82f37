"""The command as a user runs it: a process of its own, judged by what it prints and by its exit code."""

import contextlib
import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests import instances

PATIENCE = 60.0
"""Seconds that anything may take, on a machine that others use too."""
IMAGE = """apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: quickstart}}
spec: {{archive: {{path: {image}}}}}
"""
"""The manifest of the quickstart's image, whose archive is ``image``."""


def assert_eventually(
    condition: Callable[[], object], what: str | Callable[[], str], patience: float = PATIENCE
) -> None:
    """Wait until something is so; what it is may be told once it is too late, with what was seen by then."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.01)


class Agent:
    """A running ``trimtab run``."""

    def __init__(self, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Return what it has written to stderr."""
        return self._log.read_text()

    def events(self) -> list[dict[str, Any]]:
        """Return the log as it is written where there is no terminal: one JSON object a line."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]

    def says(self, text: str) -> None:
        """Wait until its log has a text."""
        assert_eventually(lambda: text in self.log, lambda: f"{text!r} in the log:\n{self.log}")

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server: (status, body)."""
        port = next(event["port"] for event in self.events() if event.get("port"))
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float | None:
        """Read one sample, its labels as they are printed; ``None`` where there is none."""
        match = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(match[1]) if match else None

    def assert_shows(self, name: str, value: float | None) -> None:
        """Wait until a metric has a value."""
        values: list[float | None] = []

        def is_so() -> bool:
            values.append(self.metric(name))
            return values[-1] == value

        try:
            assert_eventually(is_so, name)
        except AssertionError:
            raise AssertionError(f"{name} is {value}: not within {PATIENCE:g} s, but {values[-1]}") from None

    def runs(self, container: str) -> None:
        """Wait until it sees a container run."""
        self.says('"port"')
        self.assert_shows(f'trimtab_container_state{{name="{container}",state="running"}}', 1.0)

    def assert_ready(self) -> None:
        """Wait until it says so."""
        self.says('"port"')
        assert_eventually(lambda: self.get("/readyz")[0] == 200, lambda: f"readiness; {self.get('/readyz')}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and give its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and give its exit code."""
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


@dataclasses.dataclass(frozen=True)
class Trimtab:
    """The command, over an instance of its own."""

    home: pathlib.Path
    environment: Mapping[str, str]
    code: pathlib.Path = instances.REPOSITORY
    """The folder whose ``agent`` it is: this checkout's, or an earlier release's."""

    @property
    def instance(self) -> instances.Instance:
        """The same, seen from outside."""
        return instances.Instance(self.home)

    def command(self, *arguments: object) -> list[str]:
        """Return the argument list."""
        return [sys.executable, "-m", "agent", *(str(argument) for argument in arguments)]

    def __call__(self, *arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.code,
            timeout=60,
            check=False,
        )

    def output(self, *arguments: object) -> Any:
        """Run it with JSON output, and give that."""
        completed = self(*arguments, "--output", "json")
        assert completed.stdout, completed.stderr
        return json.loads(completed.stdout)

    def objects(self) -> dict[str, dict[str, Any]]:
        """Return the objects of ``status`` by name, with their conditions by type."""
        return {
            object_status["object"]: object_status
            | {condition["type"]: condition for condition in object_status["conditions"]}
            for object_status in self.output("status")["objects"]
        }

    def is_ready(self, name: str) -> bool:
        """Return whether an object is ready, by ``status``."""
        if not (self.home / "root" / "agent.sqlite").exists():
            return False
        return bool(self.objects().get(name, {}).get("Ready", {}).get("status") == "True")

    @contextlib.contextmanager
    def running(
        self, source: object, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> Iterator[Agent]:
        """Run the agent for as long as the context lasts."""
        log = self.home / f"agent-{time.monotonic_ns()}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                self.command("run", source, "--listen", "127.0.0.1:0", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**self.environment, **(environment or {})},
                cwd=self.code,
            )
        agent = Agent(process, log)
        try:
            yield agent
        finally:
            agent.stop()
