"""The OCI runtime (``runc``, ``crun``) by its command line, as in the runtime specification's and runc's manuals."""

import dataclasses
import os
import pathlib

from agent.engine import errors
from agent.kit import processes

_LEAN_GO = {"GOMAXPROCS": "1", "GOGC": "off"}
"""runc lives for some milliseconds: threads and a garbage collector cost it a sixth of them (measured)."""


def environment() -> dict[str, str]:
    """Give the environment that OCI runtimes are run in; a container sees none of it."""
    return {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), **_LEAN_GO}


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """An OCI runtime that is installed here."""

    path: pathlib.Path
    prefix: tuple[str, ...] = ()
    """The words that have to stand before it where it creates a container; the other commands need none."""
    takes_filter: bool = False
    """It takes a seccomp filter that is compiled already."""


@dataclasses.dataclass(frozen=True, slots=True)
class OciRuntime:
    """One program with its state directory."""

    program: Program
    state: pathlib.Path

    async def start(self, container_id: str) -> None:
        """Let a created container run its program. Raises ``errors.Refused`` where it cannot be run."""
        completed = await self._run("start", container_id)
        if completed.returncode:
            raise start_failure(completed.stderr.decode(errors="replace"))

    async def delete(self, container_id: str) -> None:
        """Remove what is left of a container, alive or not: its state and its cgroups. Nothing there is no failure."""
        if not (self.state / container_id).exists():
            return
        (await self._run("delete", "--force", container_id)).check()

    def exec_command(self, container_id: str, options: list[str]) -> list[str]:
        """Give the command line that runs one more program in a container."""
        return [str(self.program.path), "--root", str(self.state), "exec", *options, container_id]

    def known(self) -> set[str]:
        """Give the ids that have state, whatever became of their containers."""
        return {entry.name for entry in self.state.iterdir() if entry.name[0] != "."} if self.state.is_dir() else set()

    async def _run(self, verb: str, *words: str) -> processes.Completed:
        argv = [str(self.program.path), "--root", str(self.state), verb, *words]
        return await processes.run(argv, processes.Options(env=environment()))


def start_failure(said: str) -> errors.EngineError:
    """Make the runtime's complaint an error that says what to do; its text is shown, never parsed."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else "the OCI runtime gave no reason"
    return errors.Refused(
        f"the container cannot be started: {last}",
        hint="check command, args, user and mounts against what is in the image",
        reason="StartFailed",
    )
