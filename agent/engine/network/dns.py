"""Names in networks: one aardvark-dns an instance, a file a network, told by SIGHUP. It outlives the agent.

A file's first line has the addresses to listen on, every other line a container: id, IPv4, IPv6 (empty), names.
"""

import asyncio
import contextlib
import os
import pathlib
import signal
from collections.abc import Callable, Iterable, Mapping

from agent.engine import errors
from agent.engine.containers import spec as containers
from agent.engine.network import ports, spec
from agent.kit import failpoint, processes

_WRITTEN = failpoint.register("network.dns")

_PROGRAM = "aardvark-dns"
_PLACES = ("/usr/lib/podman", "/usr/libexec/podman")
_PORT = 53
_REST = 0.03
"""Seconds between two reloads: where many containers start or end together, they share them."""


class Dns:
    """Keeps the server as ``files`` says: a file's text by network."""

    def __init__(self, folder: pathlib.Path, files: Callable[[], Mapping[str, str]]) -> None:
        """Name where its files are; nothing is started yet."""
        self._folder = folder
        self._files = files
        self._lock = asyncio.Lock()
        self._asked = 0
        self._applied = 0
        self._rested = 0.0
        self._left: set[str] = set()

    async def apply(self) -> None:
        """Make the server know what the records say now; changes that come together share a reload."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._applied >= mine:
                return
            await asyncio.sleep(self._rested - asyncio.get_running_loop().time())
            upto = self._asked
            files = self._files()
            self._check(files)
            changed = self._write(files)
            _WRITTEN.hit()
            await self._serve(bool(files), changed=changed)
            self._applied = upto
            self._rested = asyncio.get_running_loop().time() + _REST

    def serves(self, network: str) -> bool:
        """Tell whether a network's names are known to a server that runs."""
        return self.pid() is not None and (self._folder / network).exists()

    def pid(self) -> int | None:
        """Give the server's pid where it runs; recognised by its command line, since pids are given out again."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / "aardvark.pid").read_text())
            if str(self._folder).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return None

    async def stop(self) -> None:
        """End the server."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # it has nothing to bring to an end
                await processes.wait(pid)
        (self._folder / "aardvark.pid").unlink(missing_ok=True)

    def _check(self, files: Mapping[str, str]) -> None:
        """Find out whether the server can listen where it does not yet: it would run on without, and not tell."""
        for address in sorted(_addresses(files.values()) - self._listened()):
            try:
                ports.check(containers.Port(address, _PORT, _PORT, "udp"))
            except errors.Conflict as error:
                if error.reason == "PortInUse":
                    hint = "let that program listen on addresses of its own only, or give the networks dns: false"
                    raise errors.Unavailable(
                        f"names cannot be served: {error.message}", hint=hint, reason="NoDns"
                    ) from error

    def _listened(self) -> set[str]:
        """Give the addresses that the server may listen on: one it was told to leave, it leaves in its own time."""
        if self.pid() is None:
            return set()
        return self._left | _addresses(path.read_text() for path in self._present().values())

    def _present(self) -> dict[str, pathlib.Path]:
        return {entry.name: entry for entry in self._folder.iterdir() if entry.name != "aardvark.pid"}

    def _write(self, files: Mapping[str, str]) -> bool:
        """Write what differs and remove what is over; True where anything changed."""
        present = self._present()
        self._left |= _addresses(path.read_text() for path in present.values())
        changed = False
        for name in present.keys() - files.keys():
            present[name].unlink()
            changed = True
        for name, text in files.items():
            if name not in present or present[name].read_text() != text:
                self._replace(name, text)
                changed = True
        return changed

    def _replace(self, name: str, text: str) -> None:
        """Write a file whole, and from outside: the server ends over a file in its folder that is no network's."""
        temporary = self._folder.with_name(f".{self._folder.name}-{name}")
        temporary.write_text(text)
        temporary.rename(self._folder / name)

    async def _serve(self, wanted: bool, *, changed: bool) -> None:  # noqa: FBT001 - private and named at the call
        pid = self.pid()
        if not wanted:
            await self.stop()
        elif pid is None:
            await self._start()
        elif changed:
            with contextlib.suppress(ProcessLookupError):  # a network without a server is not healthy, and is mended
                os.kill(pid, signal.SIGHUP)

    async def _start(self) -> None:
        program = processes.which(_PROGRAM, _PLACES)
        if program is None:
            raise errors.Unavailable(
                "aardvark-dns is not installed", hint="apt-get install aardvark-dns", reason="NoDns"
            )
        argv = [str(program), "--config", str(self._folder), "--port", str(_PORT), "run"]
        self._left.clear()
        completed = await processes.run(argv, processes.Options(timeout=10))  # it detaches
        if completed.returncode:
            said = completed.stderr.decode(errors="replace").strip()[-300:]
            raise errors.Unavailable(f"aardvark-dns does not start: {said}", hint="trimtab doctor", reason="NoDns")


def text(record: spec.NetworkRecord, endpoints: tuple[spec.Endpoint, ...]) -> str:
    """Give a network's file."""
    lines = [",".join(str(subnet.gateway) for subnet in record.spec.subnets)]
    for one in sorted(endpoints, key=lambda endpoint: endpoint.container_id):
        names = ",".join(dict.fromkeys((one.container_name, *one.aliases)))
        lines.append(f"{one.container_id} {one.address}  {names}")
    return "\n".join(lines) + "\n"


def _addresses(files: Iterable[str]) -> set[str]:
    return {address for file in files for address in file.partition("\n")[0].split(",")}
