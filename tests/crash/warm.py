"""The command, run in forks of a process that has imported everything, ``python -m tests.crash.warm``.

Hundreds of runs that are killed and begun again would otherwise take most of their time for importing. What a fork
does is what a process of its own would do: no loop, thread or file is open in the one that is forked.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Self

from agent.kit import failpoint
from tests import instances

for _name in (
    "agent.app",
    "agent.cli.main",
    "agent.drivers.native.driver",
    "agent.converge.loop",
    "agent.converge.once",
):
    importlib.import_module(_name)

OK = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Completed:
    """How a run ended."""

    returncode: int
    output: str
    hits: tuple[str, ...]
    """The failpoints that it passed, in order."""


class Warm:
    """The process that is forked, as a context manager."""

    def __init__(self) -> None:
        """Take a folder for what runs say."""
        self._folder = tempfile.TemporaryDirectory(prefix="tt-")
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.warm", self._folder.name],
            cwd=instances.REPOSITORY,
            env=instances.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate()
        self._folder.cleanup()

    def run(self, instance: instances.Instance, command: str, kill: tuple[str, int] | None = None) -> Completed:
        """Run a command on an instance's source, and be killed at a failpoint's hit of a number, from 1 on."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = [*instance.command(command)[3:], str(instance.source)]
        self._process.stdin.write(json.dumps({"words": words, "kill": kill}) + "\n")
        self._process.stdin.flush()
        returncode = int(self._process.stdout.readline())
        output, hits = (pathlib.Path(self._folder.name) / name for name in ("output", "hits"))
        return Completed(returncode, output.read_text(), tuple(hits.read_text().split()))


def serve(folder: pathlib.Path) -> None:
    """Fork for each line."""
    for line in sys.stdin:
        asked = json.loads(line)
        for name in ("output", "hits"):
            (folder / name).write_text("")
        child = os.fork()
        if child == 0:
            _become(asked["words"], asked["kill"], folder)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(words: list[str], kill: tuple[str, int] | None, folder: pathlib.Path) -> None:
    """Be the command: never returns."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_APPEND)
    hits = os.open(folder / "hits", os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, output, output)):
        os.dup2(descriptor, number)
    passed = failpoint.Failpoint.hit

    def hit(point: failpoint.Failpoint) -> None:
        os.write(hits, f"{point.name}\n".encode())
        passed(point)

    failpoint.Failpoint.hit = hit  # type: ignore[method-assign]
    if kill is not None:
        failpoint.arm(kill[0], "kill", kill[1])
    sys.argv = ["trimtab", *words]
    code = 1
    try:
        importlib.import_module("agent.__main__").main()
        code = OK
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(pathlib.Path(sys.argv[1]))
