"""Running other programs from asyncio: spawned by vfork, awaited through a pidfd, no thread and no signal handler.

asyncio's own subprocesses cost a thread a child on Python 3.11 and several loop rounds each; an agent that starts fifty
containers at once feels both.
"""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent import errors

_STDERR_SHOWN = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended."""

    argv: tuple[str, ...]
    returncode: int
    """Negative: the signal that killed it."""
    stdout: bytes
    stderr: bytes

    def check(self) -> "Completed":
        """Raise ``ProcessFailed`` unless it exited with 0."""
        if self.returncode:
            raise ProcessFailed(self)
        return self


class ProcessFailed(errors.TrimtabError):
    """A program exited with something else than 0."""

    def __init__(self, completed: Completed) -> None:
        """Tell the program's own words."""
        self.completed = completed
        said = (completed.stderr or completed.stdout).decode(errors="replace").strip()[-_STDERR_SHOWN:]
        super().__init__(f"{completed.argv[0]} failed with {completed.returncode}: {said or 'it said nothing'}")


class ProcessTimeout(errors.TrimtabError):
    """A program did not end in time and was killed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How a program is run."""

    stdin: bytes = b""
    timeout: float | None = 60.0
    """Seconds until it is killed."""
    env: Mapping[str, str] | None = None
    """The whole environment; ``None`` passes ours on."""
    cwd: pathlib.Path | None = None
    pass_fds: tuple[int, ...] = ()


async def run(argv: Sequence[str | os.PathLike[str]], options: Options = Options()) -> Completed:
    """Run a program to its end, collecting what it prints.

    Raises ``ProcessTimeout`` after ``options.timeout``, ``FileNotFoundError`` where there is no such program.
    Cancelling kills it.
    """
    words = tuple(os.fspath(word) for word in argv)
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_memory_file(name)) for name in ("stdin", "stdout", "stderr")}
        if options.stdin:
            os.write(files["stdin"], options.stdin)
            os.lseek(files["stdin"], 0, os.SEEK_SET)
        process = subprocess.Popen(  # noqa: ASYNC220 - vfork returns at once; the wait below is asynchronous
            words,
            stdin=files["stdin"],
            stdout=files["stdout"],
            stderr=files["stderr"],
            env=options.env,
            cwd=options.cwd,
            pass_fds=options.pass_fds,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(options.timeout):
                await wait(process.pid)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, TimeoutError):
                raise ProcessTimeout(f"{words[0]} did not end within {options.timeout:g} s and was killed") from error
            raise
        returncode = process.wait()
        return Completed(words, returncode, _contents(files["stdout"]), _contents(files["stderr"]))


async def wait(pid: int) -> None:
    """Wait until a process has ended: any process, not only a child; a child is left to be reaped.

    Raises ``ProcessLookupError`` where there is no such process.
    """
    descriptor = os.pidfd_open(pid)
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)


async def readable(descriptor: int) -> None:
    """Wait until a descriptor can be read."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def notice() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, notice)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def which(name: str, extra: Iterable[str] = ()) -> pathlib.Path | None:
    """Find a program by PATH, then in the system's folders that a user's PATH often lacks, then in ``extra``."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/sbin", "/usr/local/sbin", *extra]
    for folder in filter(None, folders):
        candidate = pathlib.Path(folder, name)
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None


@contextlib.contextmanager
def _memory_file(name: str) -> Iterator[int]:
    descriptor = os.memfd_create(f"trimtab-{name}", os.MFD_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _contents(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)
