"""The OCI runtime (``runc``, ``crun``) by its command line, as in the runtime specification's and runc's manuals."""

import json
import pathlib

from agent import errors
from agent.kit import atomicfile, frozen, isolation, processes
from agent.reasons import Reason

_MEMORY = "oci-runtime"
"""The file in the run directory that says which program works on this host."""

_LEAN_GO = {"GOMAXPROCS": "1", "GOGC": "off"}
"""runc lives for some milliseconds: threads and a garbage collector cost it a sixth of them (measured)."""


def environment() -> dict[str, str]:
    """Return the environment that OCI runtimes are run in; a container sees none of it."""
    return {"PATH": isolation.search_path(), **_LEAN_GO}


@frozen.value
class Program:
    """An OCI runtime that is installed here."""

    path: pathlib.Path
    prefix: tuple[str, ...] = ()
    """Words before the command line of ``create``; other commands need none."""
    takes_filter: bool = False
    """It accepts a precompiled seccomp filter."""

    @property
    def hands_streams_on(self) -> bool:
        """Return whether ``exec`` passes its own streams to the program, as crun does; runc copies them."""
        return self.path.name.startswith("crun")


UNKNOWN = Program(pathlib.Path("runc"))
"""For those who only look at an instance that never ran anything."""


def remember(run: pathlib.Path, program: Program) -> None:
    """Write the program that works on this host to ``run``, so that none is tried again before the next boot."""
    fields = {"path": str(program.path), "prefix": program.prefix, "takes_filter": program.takes_filter}
    atomicfile.write(run / _MEMORY, json.dumps(fields).encode(), durable=False)


def remembered(run: pathlib.Path) -> Program | None:
    """Return the program that was remembered, without trying anything."""
    try:
        fields = json.loads((run / _MEMORY).read_bytes())
        return Program(pathlib.Path(fields["path"]), tuple(fields.get("prefix", ())), bool(fields.get("takes_filter")))
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


@frozen.value
class OciRuntime:
    """One program with its state directory."""

    program: Program
    state: pathlib.Path

    async def start(self, container_id: str) -> None:
        """Start the program of a created container. Raises ``errors.InvalidArgument`` where it cannot be run."""
        completed = await self._run("start", container_id)
        if completed.returncode:
            raise start_failure(completed.stderr.decode(errors="replace"))

    async def delete(self, container_id: str) -> None:
        """Remove what is left of a container, alive or not: its state and its cgroups. Nothing there is no failure."""
        if not (self.state / container_id).exists():
            return
        (await self._run("delete", "--force", container_id)).check()

    def run_command(self, bundle: pathlib.Path) -> list[str]:
        """Return the command line that runs a bundle's container, called as the bundle is, to its end."""
        words = ["--root", str(self.state), "run", "--bundle", str(bundle), bundle.name]
        return [*self.program.prefix, str(self.program.path), *words]

    def exec_command(self, container_id: str, options: list[str]) -> list[str]:
        """Return the command line that runs another program in a container."""
        return [str(self.program.path), "--root", str(self.state), "exec", *options, container_id]

    def container_ids(self) -> set[str]:
        """Return the container ids that the runtime has state of, whether their containers live or not."""
        return {entry.name for entry in self.state.iterdir() if entry.name[0] != "."} if self.state.is_dir() else set()

    async def _run(self, verb: str, *words: str) -> processes.Completed:
        argv = [str(self.program.path), "--root", str(self.state), verb, *words]
        return await processes.run(argv, processes.Options(env=environment()))


def start_failure(output: str) -> errors.Failure:
    """Return the runtime's message as an error with a hint; its text is shown, never parsed."""
    lines = [line for line in output.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else "the OCI runtime gave no reason"
    return errors.InvalidArgument(
        f"the container cannot be started: {last}",
        hint="check command, args, user and mounts against what is in the image",
        reason=Reason.START_FAILED,
    )
