"""How soon commands answer, beside a running agent or daemon with many containers: ours and Docker's own, in turns."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from tests.benchmarks import docker_engine, figures, images, trimtab_agent

CONTAINERS = 200
SAMPLES = 9
"""Runs of each command in a round: a command is short, and a median of few says little on a shared machine."""
_TALKER = "talker"
_REPOSITORY = pathlib.Path(__file__).parents[2]
_SCRIPT = "echo ready; exec sleep 100000"
_TAB = {"_TRIMTAB_COMPLETE": "bash_complete", "COMP_WORDS": "trimtab st", "COMP_CWORD": "1"}


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """What is typed of each, and what people hope for."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    reach: str
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    name: str = ""

    @property
    def title(self) -> str:
        """Return the figure's name."""
        return f"{self.name or ' '.join(self.ours)} (docker {' '.join(self.theirs)})"


COMMANDS = (
    Command(("--help",), ("--help",), "< 100 ms"),
    Command(("--version",), ("--version",), "< 100 ms"),
    Command((), ("__complete", "st"), "< 100 ms", _TAB, "TAB"),
    Command(("status",), ("ps",), "< 150 ms"),
    Command(("logs", "-n", "1", _TALKER), ("logs", "-n", "1", _TALKER), "< 150 ms"),
    Command(("exec", _TALKER, "sh", "-c", ":"), ("exec", _TALKER, "sh", "-c", ":"), "< 150 ms"),
)


def measure(work: pathlib.Path, rounds: int) -> list[figures.Figure]:
    """Measure every command of each side, while all of them run their containers."""
    series = [(command, figures.Series(command.title, "ms", command.reach)) for command in COMMANDS]
    program = _installed(work / "installed")
    with trimtab_agent.Side(work).turn() as agent, docker_engine.both(work / "docker") as rivals:
        agent.up(CONTAINERS)
        agent.drop("talker.yaml", _talker())
        trimtab_agent.wait(lambda: _is_well(agent), "everything as declared", poll=0.5)
        for docker in rivals.values():
            docker.run(CONTAINERS)
            docker.client("run", "-d", "--name", _TALKER, images.NAME, "/bin/sh", "-c", _SCRIPT)
        for _ in range(rounds * SAMPLES):
            for command, samples in series:
                samples.add(_ours(program, agent, command))
                for name, docker in rivals.items():
                    if (seconds := _theirs(docker, command)) is not None:
                        samples.add(seconds, name)
    return [samples.figure() for _, samples in series]


def _installed(folder: pathlib.Path) -> pathlib.Path:
    """Install this checkout as ``make install`` does, from a copy, and return the program.

    What developers run finds its modules by a hook, which is a fifth of what a short command takes.
    """
    copy = folder / "copy"
    for name in ("agent", "crds", "ops"):
        shutil.copytree(_REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy2(_REPOSITORY / name, copy)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    words = ["-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check", str(copy)]
    subprocess.run([folder / "venv/bin/python", *words], check=True)
    return folder / "venv/bin/trimtab"


def _ours(program: pathlib.Path, agent: trimtab_agent.Agent, command: Command) -> float:
    """Return the milliseconds that ours takes, as it is installed: with its modules compiled."""
    flags = [] if command.ours[:1] in ((), ("--help",), ("--version",)) else _instance(agent)
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return _milliseconds([str(program), *flags, *command.ours], {**compiled, **command.variables})


def _is_well(agent: trimtab_agent.Agent) -> bool:
    words = [sys.executable, "-m", "agent", *_instance(agent), "status", _TALKER]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def _instance(agent: trimtab_agent.Agent) -> list[str]:
    return ["--root", str(agent.root), "--run-dir", str(agent.run)]


def _theirs(docker: docker_engine.Docker, command: Command) -> float | None:
    """Return the milliseconds that Docker's client takes; ``None`` where its release has no such command."""
    try:
        return _milliseconds(docker.command(*command.theirs), os.environ)
    except subprocess.CalledProcessError:
        if command.name != "TAB":
            raise
        return None


def _milliseconds(words: Sequence[str], environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env=environment)
    return (time.perf_counter() - begun) * 1000


def _talker() -> str:
    return (
        f"apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: {_TALKER}}}\n"
        f'spec:\n  image: {{name: bench}}\n  command: ["/bin/sh", "-c", "{_SCRIPT}"]\n  networks: [bench]\n'
        "  stop: {gracePeriod: 0s}\n"
    )
