"""What is run: containers that sleep, each on a bridge network; and how processes are looked at."""

import contextlib
import pathlib
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence

COMMAND = ("/bin/sleep", "100000")
WORDS = ", ".join(f'"{word}"' for word in COMMAND)
_LOOKS = 0.02
"""Seconds between two looks at what comes and goes."""
_LONGEST_COMPLAINT = 4000
"""Characters of what a command that fails has printed, counted from the end."""


def image(archive: pathlib.Path) -> str:
    """Give the image's manifest."""
    return (
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: bench}}\nspec: {{archive: {{path: {archive}}}}}\n"
    )


def manifests(count: int) -> str:
    """Give the manifests of a network and so many containers."""
    documents = ["apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: bench}\nspec: {driver: bridge}\n"]
    documents += [
        f"apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: c{number}}}\n"
        f"spec:\n  image: {{name: bench}}\n  command: [{WORDS}]\n  networks: [bench]\n"
        "  stop: {gracePeriod: 0s}\n"
        for number in range(count)
    ]
    return "---\n".join(documents)


def compose(count: int, image: str) -> str:
    """Give the same as a Compose file."""
    services = "".join(
        f"  c{number}:\n    image: {image}\n    command: [{WORDS}]\n    networks: [bench]\n" for number in range(count)
    )
    return f'version: "3"\nservices:\n{services}networks:\n  bench: {{}}\n'


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints; raises ``RuntimeError`` with its complaints where it fails."""
    completed = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if completed.returncode:
        complaints = completed.stderr[-_LONGEST_COMPLAINT:].strip()
        raise RuntimeError(f"{' '.join(command)} ended with {completed.returncode}: {complaints}")
    return completed.stdout


def volatile() -> pathlib.Path:
    """Give where both sides keep their run directories: in memory, as /run is on every host with systemd."""
    return pathlib.Path("/dev/shm")


def processes(name: str, folder: pathlib.Path) -> list[int]:
    """Give the pids of all processes of a name that were told something below a folder: those of one side."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            named = (path / "comm").read_text().strip().startswith(name[:15])
            if named and str(folder) in (path / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def resident(pid: int) -> float:
    """Give a process's resident memory in MiB."""
    return _memory(pid, "Rss:")


@contextlib.contextmanager
def peak(pid: int) -> Iterator[list[float]]:
    """Give, at the end, the most memory that a process has ever had together with its children meanwhile, in MiB."""
    told: list[float] = []
    most, over = [0.0], threading.Event()

    def look() -> None:
        while not over.wait(_LOOKS):
            most[0] = max(most[0], sum(map(_most, _children(pid))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield told
    finally:
        over.set()
        thread.join()
        told.append(_most(pid) + most[0])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def _most(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def proportional(pid: int) -> float:
    """Give a process's memory in MiB, pages that it shares with others divided among them."""
    return _memory(pid, "Pss:")


def _memory(pid: int, field: str) -> float:
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
