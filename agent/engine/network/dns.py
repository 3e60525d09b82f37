"""Names in networks: one aardvark-dns an instance, a file a network, told by SIGHUP. It outlives the agent.

A file's first line has the addresses to listen on, every other line a container: id, IPv4, IPv6 (empty), names.
"""

import asyncio
import contextlib
import os
import pathlib
import signal
from collections.abc import Callable, Mapping

from agent.engine import errors
from agent.engine.network import spec
from agent.kit import atomicfile, failpoint, processes

_WRITTEN = failpoint.register("network.dns")

_PROGRAM = "aardvark-dns"
_PLACES = ("/usr/lib/podman", "/usr/libexec/podman")
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
            changed = self._write(files)
            _WRITTEN.hit()
            await self._serve(bool(files), changed=changed)
            self._applied = upto
            self._rested = asyncio.get_running_loop().time() + _REST

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
                os.kill(pid, signal.SIGTERM)
                async with asyncio.timeout(5):
                    await processes.wait(pid)
        (self._folder / "aardvark.pid").unlink(missing_ok=True)

    def _write(self, files: Mapping[str, str]) -> bool:
        """Write what differs and remove what is over; True where anything changed."""
        present = {entry.name: entry for entry in self._folder.iterdir() if entry.name != "aardvark.pid"}
        changed = False
        for name in present.keys() - files.keys():
            present[name].unlink()
            changed = True
        for name, text in files.items():
            if name not in present or present[name].read_text() != text:
                atomicfile.write(self._folder / name, text.encode(), durable=False)
                changed = True
        return changed

    async def _serve(self, wanted: bool, *, changed: bool) -> None:  # noqa: FBT001 - private and named at the call
        pid = self.pid()
        if not wanted:
            await self.stop()
        elif pid is None:
            await self._start()
        elif changed:
            os.kill(pid, signal.SIGHUP)

    async def _start(self) -> None:
        program = processes.which(_PROGRAM, _PLACES)
        if program is None:
            raise errors.Unavailable(
                "aardvark-dns is not installed", hint="apt-get install aardvark-dns", reason="NoDns"
            )
        argv = [str(program), "--config", str(self._folder), "--port", "53", "run"]
        completed = await processes.run(argv, processes.Options(timeout=10))  # it detaches when it listens
        if completed.returncode:
            said = completed.stderr.decode(errors="replace").strip()[-300:]
            raise errors.Unavailable(f"aardvark-dns does not start: {said}", hint="is port 53 taken?", reason="NoDns")


def text(record: spec.NetworkRecord, endpoints: tuple[spec.Endpoint, ...]) -> str:
    """Give a network's file."""
    lines = [",".join(str(subnet.gateway) for subnet in record.spec.subnets)]
    for one in sorted(endpoints, key=lambda endpoint: endpoint.container_id):
        names = ",".join(dict.fromkeys((one.container_name, *one.aliases)))
        lines.append(f"{one.container_id} {one.address}  {names}")
    return "\n".join(lines) + "\n"
