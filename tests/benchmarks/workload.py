"""What is run: containers that sleep, each on a bridge network; and how processes are looked at."""

import pathlib

COMMAND = ("/bin/sleep", "100000")
WORDS = ", ".join(f'"{word}"' for word in COMMAND)


def manifests(count: int, archive: pathlib.Path, *, prefix: str = "c") -> str:
    """Give the manifests: an image, a network, and so many containers."""
    documents = [
        f"apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {{name: bench}}\nspec: {{archive: {{path: {archive}}}}}\n",
        "apiVersion: trimtab.dev/v1\nkind: Network\nmetadata: {name: bench}\nspec: {driver: bridge}\n",
    ]
    documents += [
        f"apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {{name: {prefix}{number}}}\n"
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


def processes(name: str) -> list[int]:
    """Give the pids of all processes whose command's name begins so."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip().startswith(name[:15]):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def resident(pid: int) -> int:
    """Give a process's resident memory in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
