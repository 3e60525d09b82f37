"""Running other programs from asyncio: spawned by vfork, awaited through a pidfd, no thread and no signal handler.

This is the only place that starts processes, and each is isolated: it stands in ``/``, has an environment of its own
(``kit.isolation``), an empty standard input and no descriptor but those that it is handed. A program is looked up in
absolute folders only.

asyncio's own subprocesses cost a thread a child on Python 3.11 and several loop rounds each; an agent that starts fifty
containers at once feels both.
"""

import asyncio
import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent import errors
from agent.kit import frozen, isolation, tasks

Process = subprocess.Popen[bytes]
PIPE = subprocess.PIPE
DISCARD = subprocess.DEVNULL

_STDERR_SHOWN = 2000
_DYING = 5.0
"""Seconds that a killed child may take to end: exiting takes milliseconds, or a second or two on a busy disk. What
takes longer is stuck in the kernel (state D: a network file system that does not answer), perhaps for ever."""
_LOOK = 0.02
"""Seconds between two looks at a child that has ended, and that a debugger has not yet let go."""
_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


@frozen.value
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


class ProcessFailed(errors.ProgramError):
    """A program exited with something else than 0."""

    def __init__(self, completed: Completed) -> None:
        """Return the program's own words."""
        self.completed = completed
        output = (completed.stderr or completed.stdout).decode(errors="replace").strip()[-_STDERR_SHOWN:]
        super().__init__(f"{completed.argv[0]} failed with {completed.returncode}: {output or 'it said nothing'}")


class ProcessTimeout(errors.ProgramError):
    """A program did not end in time and was killed."""


class ProcessHangs(errors.TrimtabError):
    """A child does not end, not even by SIGKILL."""

    def __init__(self, process: "Process") -> None:
        """Name the child."""
        assert isinstance(process.args, list)  # noqa: S101 - by ``spawn``
        program = str(process.args[0])
        super().__init__(
            f"process {process.pid} ({program}) does not end, not even by SIGKILL: it hangs in the kernel",
            hint=f"cat /proc/{process.pid}/stack says in what; a disk or network file system that does not answer?",
        )


@frozen.value
class Options:
    """How a program is run."""

    stdin: bytes = b""
    timeout: float | None = 60.0
    """Seconds until it is killed."""
    env: Mapping[str, str] | None = None
    """The whole environment; ``None``: ``isolation.environment()``, which has nothing of ours but PATH."""
    pass_fds: tuple[int, ...] = ()


@frozen.value
class Streams:
    """A child's standard streams: a descriptor of ours, ``PIPE`` or ``DISCARD``."""

    stdin: int = DISCARD
    stdout: int = DISCARD
    stderr: int = DISCARD


def spawn(
    argv: Sequence[str | os.PathLike[str]],
    streams: Streams = Streams(),
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
) -> Process:
    """Start a program in a session of its own, isolated from where and with what we run. The caller reaps it.

    Raises ``FileNotFoundError`` where there is no such program, ``OSError`` where it cannot be run.
    """
    words = [os.fspath(word) for word in argv]
    return subprocess.Popen(
        [_program(words[0]), *words[1:]],
        stdin=streams.stdin,
        stdout=streams.stdout,
        stderr=streams.stderr,
        env=isolation.environment() if env is None else env,
        cwd="/",
        pass_fds=pass_fds,
        close_fds=True,
        start_new_session=True,
        bufsize=0,
    )


def run_blocking(argv: Sequence[str | os.PathLike[str]], options: Options = Options()) -> Completed:
    """Run a program to its end, for threads: as ``run`` does, but it holds the caller up."""
    with _collected(options.stdin) as files:
        process = spawn(argv, files, env=options.env, pass_fds=options.pass_fds)
        try:
            returncode = process.wait(options.timeout)
        except BaseException as error:
            hanging = end_blocking(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise _timeout(argv, options, hanging) from error
            raise
        return _completed(argv, returncode, files)


async def run(argv: Sequence[str | os.PathLike[str]], options: Options = Options()) -> Completed:
    """Run a program to its end, collecting what it prints.

    Raises ``ProcessTimeout`` after ``options.timeout``, ``FileNotFoundError`` where there is no such program.
    Cancelling kills it.
    """
    with _collected(options.stdin) as files:
        process = spawn(argv, files, env=options.env, pass_fds=options.pass_fds)
        try:
            async with asyncio.timeout(options.timeout):
                returncode = await reaped(process)
        except BaseException as error:
            hanging = await end(process)
            if isinstance(error, TimeoutError):
                raise _timeout(argv, options, hanging) from error
            raise
        return _completed(argv, returncode, files)


async def reaped(process: Process) -> int:
    """Wait until a child has ended, and return its exit code; negative: the signal that killed it."""
    while (code := process.poll()) is None:
        await wait(process.pid)
        if process.poll() is None:  # whoever traces it is told first
            await asyncio.sleep(_LOOK)
    return code


async def end(process: Process) -> ProcessHangs | None:
    """Kill a child and its process group, and reap it.

    One that hangs is reported to the event loop's exception handler, returned, and reaped in the background: it never
    holds up the loop, and nobody longer than some seconds.
    """
    _kill(process)
    try:
        async with asyncio.timeout(_DYING):
            await reaped(process)
    except TimeoutError:
        hanging = ProcessHangs(process)
        tasks.report_failure(f"the end of process {process.pid}", hanging)
        return hanging
    finally:
        _reap_later(process)
    return None


def end_blocking(process: Process) -> ProcessHangs | None:
    """Kill a child and reap it, for threads: as ``end`` does, but nobody is told of one that hangs but the caller."""
    _kill(process)
    try:
        process.wait(_DYING)
    except subprocess.TimeoutExpired:
        return ProcessHangs(process)
    finally:
        _reap_later(process)
    return None


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
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def writable(descriptor: int) -> None:
    """Wait until a descriptor can be written to."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)


async def write(descriptor: int, data: bytes) -> None:
    """Write all of some data to a descriptor that does not block. Raises ``OSError``, as where nobody reads it."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await writable(descriptor)


def which(name: str, extra: Iterable[str] = ()) -> pathlib.Path | None:
    """Find a program by PATH, then in the system's folders that a user's PATH often lacks, then in ``extra``.

    Folders that are not absolute do not count: what they hold depends on where somebody stands.
    """
    for folder in (*isolation.search_path().split(os.pathsep), *_SYSTEM_FOLDERS, *extra):
        candidate = pathlib.Path(folder, name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):  # noqa: PTH113 - False for a folder of others
            return candidate
    return None


def _program(name: str) -> str:
    if name.startswith("/"):
        return name
    path = which(name)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return str(path)


def _kill(process: Process) -> None:
    """Kill a child's process group, unless it has been reaped: its number may be another one's by then."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _reap_later(process: Process) -> None:
    """Let a thread wait for a child that has not ended; it keeps nobody from ending."""
    if process.returncode is None:
        threading.Thread(target=process.wait, name=f"reaping {process.pid}", daemon=True).start()


def _timeout(argv: Sequence[str | os.PathLike[str]], options: Options, hanging: ProcessHangs | None) -> ProcessTimeout:
    message = f"{os.fspath(argv[0])} did not end within {options.timeout:g} s and was killed"
    if hanging is None:
        return ProcessTimeout(message)
    return ProcessTimeout(f"{message}; {hanging.message}", hint=hanging.hint)


def _completed(argv: Sequence[str | os.PathLike[str]], returncode: int, files: Streams) -> Completed:
    words = tuple(os.fspath(word) for word in argv)
    return Completed(words, returncode, _contents(files.stdout), _contents(files.stderr))


@contextlib.contextmanager
def _collected(stdin: bytes) -> Iterator[Streams]:
    """Keep what goes in and comes out in memory, by files: nobody has to read while a program runs."""
    with contextlib.ExitStack() as stack:
        input_file, stdout, stderr = (stack.enter_context(memory_file(name)) for name in ("stdin", "stdout", "stderr"))
        if stdin:
            os.write(input_file, stdin)
            os.lseek(input_file, 0, os.SEEK_SET)
        yield Streams(input_file if stdin else DISCARD, stdout, stderr)


@contextlib.contextmanager
def memory_file(name: str) -> Iterator[int]:
    """Open a file in memory for as long as it is needed."""
    descriptor = os.memfd_create(f"trimtab-{name}", os.MFD_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _contents(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)
