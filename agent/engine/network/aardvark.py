"""An aardvark-dns process, with a file for each network in its folder, reloaded by SIGHUP. It outlives the agent.

A file's first line has the addresses to listen on, every other line a container: id, IPv4, IPv6, names.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import os
import pathlib
import re
import signal
import socket
from collections.abc import Iterable, Mapping

from agent import errors
from agent.engine.network import ports
from agent.engine.spec import container as container_spec
from agent.engine.spec import network as network_spec
from agent.kit import batching, failpoint, isolation, processes
from agent.reasons import Reason

_WRITE = failpoint.register("network.dns")

_PROGRAM = "aardvark-dns"
_DIRECTORIES = ("/usr/lib/podman", "/usr/libexec/podman")
_PORT = 53
_PAUSE = 0.03
"""Seconds between two reloads: where many containers start or end together, they share them."""
_PAUSE_PER_LINE = 0.00002
"""Seconds more for each container that a server knows: it reads all of them again at each reload."""
_HANDOVER = 0.5
"""Seconds that a server has to release an address for another one."""
_HANDOVER_LOOKS = 10
_ANSWER = 2.5
"""Seconds for an answer that costs the server a thousandth of that: the machine may be very busy."""
_QUESTIONS = 5
_QUERY = bytes.fromhex("7474 0100 0001 0000 0000 0000 07 7472696d746162 03 646e73 06 706f646d616e 00 0001 0001")
"""A query for a name that does not exist: ``trimtab.dns.podman``.

In the server's own domain: aardvark-dns 1.14 asks the world for any other name, and answers when that has.
"""
_VERSION = re.compile(rb"(\d+)\.(\d+)")
_WITH_TCP = (1, 12)
_STOPPED = frozenset("TtZX")
"""States of a process that does not answer, in /proc/PID/stat's letters."""


@dataclasses.dataclass(slots=True)
class File:
    """A network's file: the addresses to listen on, and a line for each container."""

    listen: tuple[str, ...]
    lines: dict[str, str] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        """Return what is written."""
        return "\n".join((",".join(self.listen), *self.lines.values(), ""))


def line(endpoint: network_spec.Endpoint) -> str:
    """Return a container's line."""
    names = ",".join(dict.fromkeys((endpoint.container_name, *endpoint.aliases)))
    addresses = (_texts(endpoint, ipaddress.IPv4Address), _texts(endpoint, ipaddress.IPv6Address))
    return " ".join((endpoint.container_id, *addresses, names))


def _texts(endpoint: network_spec.Endpoint, kind: type[network_spec.Address]) -> str:
    return ",".join(str(address) for address in endpoint.addresses if isinstance(address, kind))


class Server:
    """One process and its files. Changes that come together share a reload."""

    def __init__(self, folder: pathlib.Path, environment: Mapping[str, str]) -> None:
        """Take the folder of its files and additions to its environment; nothing is started yet."""
        self._folder = folder
        self._environment = environment
        self._files: dict[str, File] = {}
        self._contents: dict[str, str] = {}
        """Texts of the files in the folder as last written or read, by name."""
        self._changed: set[str] = set()
        self._batch = batching.Batch(self._bring_up_to_date)
        self._not_before = 0.0
        self._stale_addresses: set[str] = set()
        self._loaded = False
        self._searched = False

    @property
    def folder(self) -> pathlib.Path:
        """The folder of its files."""
        return self._folder

    @property
    def files(self) -> Mapping[str, File]:
        """The desired files, by network."""
        return self._files

    def put(self, name: str, file: File | None) -> None:
        """Replace a network's file; ``None`` removes it."""
        if file is None:
            self._files.pop(name, None)
        else:
            self._files[name] = file
        self._changed.add(name)

    def put_line(self, name: str, container_id: str, text: str | None) -> None:
        """Replace a container's line in a network's file; ``None`` removes it."""
        if name not in self._files:
            return
        if text is None:
            self._files[name].lines.pop(container_id, None)
        else:
            self._files[name].lines[container_id] = text
        self._changed.add(name)

    async def apply(self) -> None:
        """Write the files and make the process serve them. Raises ``errors.Unavailable`` (``NoDns``)."""
        await self._batch.done()

    async def mend(self) -> None:
        """Write all files anew that differ, and replace a process that does not answer."""
        self._loaded = self._searched = False
        if self.pid() is not None and not await self.answers():
            await self.stop()
        await self.apply()

    def reload(self) -> None:
        """Make the process read its files and the host's resolvers again."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def runs(self) -> bool:
        """Return whether the process runs (and is not stopped), or has no network to serve."""
        if not self._files:
            return True
        pid = self.pid()
        return pid is not None and _state(pid) not in _STOPPED

    def unlike(self) -> list[str]:
        """Return the networks whose files were changed or removed; all of them where the folder is missing."""
        try:
            present = self._present()
        except FileNotFoundError:
            return sorted(self._files)
        differing = {name for name, path in present.items() if self._contents.get(name) != _read(path)}
        return sorted(differing | self._contents.keys() - present.keys())

    async def answers(self) -> bool:
        """Return whether every address that it listens on answers in time."""
        addresses = {address for file in self._files.values() for address in file.listen}
        return all(await asyncio.gather(*map(_answers, sorted(addresses))))

    def pid(self) -> int | None:
        """Return the process's pid where it runs; recognised by its command line, since pids are given out again."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / "aardvark.pid").read_text())
            if self._is_ours(pid):
                return pid
        return None

    def strays(self) -> list[int]:
        """Return the pids of other processes for this folder, by their command lines."""
        own = self.pid()
        pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208 - thrice as fast
        return [pid for pid in pids if pid != own and self._is_ours(pid)]

    async def stop(self) -> None:
        """End the process."""
        pid = self.pid()
        strays = await asyncio.to_thread(self.strays)  # every process of the host is looked at
        for process in [*([] if pid is None else [pid]), *strays]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)  # it has no state to save
                await processes.wait(process)
        (self._folder / "aardvark.pid").unlink(missing_ok=True)
        self._stale_addresses.clear()

    async def _bring_up_to_date(self) -> None:
        await asyncio.sleep(self._not_before - asyncio.get_running_loop().time())
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._load()
        await self._replace_strays()
        await self._check()
        is_changed = self._write()
        _WRITE.hit()
        await self._serve(is_changed=is_changed)
        lines = sum(len(file.lines) for file in self._files.values())
        self._not_before = asyncio.get_running_loop().time() + _PAUSE + _PAUSE_PER_LINE * lines

    def _load(self) -> None:
        """Read the files as they are on the disk: an earlier agent's, or changed by somebody."""
        if not self._loaded:
            self._stale_addresses |= _addresses(self._contents.values())
            self._contents = {name: _read(path) for name, path in self._present().items()}
            self._changed |= self._contents.keys() | self._files.keys()
            self._loaded = True

    async def _replace_strays(self) -> None:
        """End a process that serves the folder but whose pid file is lost."""
        strays = [] if self._searched else await asyncio.to_thread(self.strays)
        if strays:
            await self.stop()
        self._searched = True

    async def _check(self) -> None:
        """Check that it can listen on new addresses: aardvark-dns would run on without them, silently."""
        listened = self._stale_addresses | _addresses(self._contents.values()) if self.pid() is not None else set()
        for address in sorted({address for file in self._files.values() for address in file.listen} - listened):
            refusal = _refusal(address)
            for _ in range(_HANDOVER_LOOKS):
                if refusal is None:
                    break
                await asyncio.sleep(_HANDOVER / _HANDOVER_LOOKS)
                refusal = _refusal(address)
            if refusal is not None:
                owner = await asyncio.to_thread(ports.owner, _port(address))
                raise errors.Unavailable(
                    f"names cannot be served: {refusal.message}{owner}",
                    hint="let that program listen on addresses of its own only, or give the networks dns: false",
                    reason=Reason.NO_DNS,
                ) from refusal

    def _present(self) -> dict[str, pathlib.Path]:
        return {entry.name: entry for entry in self._folder.iterdir() if entry.name != "aardvark.pid"}

    def _write(self) -> bool:
        """Write files that differ and remove obsolete ones; True where anything changed."""
        is_changed = False
        for name in sorted(self._changed):
            text = self._files[name].text() if name in self._files else None
            if text == self._contents.get(name):
                continue
            self._stale_addresses |= _addresses(filter(None, [self._contents.pop(name, "")]))
            if text is None:
                (self._folder / name).unlink(missing_ok=True)
            else:
                self._replace(name, text)
                self._contents[name] = text
            is_changed = True
        self._changed.clear()
        return is_changed

    def _replace(self, name: str, text: str) -> None:
        """Write a file whole, and from outside: the server ends over a file in its folder that is no network's."""
        temporary = self._folder.with_name(f".{self._folder.name}-{name}")
        temporary.write_text(text)
        temporary.rename(self._folder / name)

    async def _serve(self, *, is_changed: bool) -> None:
        pid = self.pid()
        if not self._files and pid is not None:
            await self.stop()
        elif not self._files:
            (self._folder / "aardvark.pid").unlink(missing_ok=True)
        elif pid is None:
            await self._start()
        elif is_changed:
            self.reload()

    async def _start(self) -> None:
        program = find()
        if program is None:
            raise errors.Unavailable(
                "aardvark-dns is not installed", hint="apt-get install aardvark-dns", reason=Reason.NO_DNS
            )
        self._stale_addresses.clear()
        argv = [str(program), "--config", str(self._folder), "--port", str(_PORT), "run"]
        environment = {**isolation.environment(), **self._environment}
        completed = await processes.run(argv, processes.Options(timeout=10, env=environment))  # it detaches
        if completed.returncode:
            message = completed.stderr.decode(errors="replace").strip()[-300:]
            raise errors.Unavailable(
                f"aardvark-dns does not start: {message}", hint="trimtab doctor", reason=Reason.NO_DNS
            )

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            return str(self._folder).encode() in words and b"--config" in words
        return False


def find() -> pathlib.Path | None:
    """Return where the program is."""
    return processes.which(_PROGRAM, _DIRECTORIES)


async def serves_tcp() -> bool:
    """Return whether the installed program answers over TCP by itself, as it does since 1.12."""
    program = find()
    if program is None:
        return False
    completed = await processes.run([program, "--version"], processes.Options(timeout=10))
    version = _VERSION.search(completed.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= _WITH_TCP


async def _answers(address: str) -> bool:
    """Return whether the server answers, after several attempts: while it reloads its files it does not."""
    for _ in range(_QUESTIONS):
        if await _asked(address):
            return True
        await asyncio.sleep(_ANSWER / _QUESTIONS / 2)
    return False


async def _asked(address: str) -> bool:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as client:
        try:
            async with asyncio.timeout(_ANSWER / _QUESTIONS):
                await loop.sock_connect(client, (address, _PORT))
                await loop.sock_sendall(client, _QUERY)
                return (await loop.sock_recv(client, 512))[:2] == _QUERY[:2]
        except OSError:  # a TimeoutError is one
            return False


def _refusal(address: str) -> errors.Conflict | None:
    try:
        ports.check(_port(address))
    except errors.Conflict as error:
        return error if error.reason is Reason.PORT_IN_USE else None
    return None


def _port(address: str) -> container_spec.Port:
    return container_spec.Port(ipaddress.ip_address(address), _PORT, _PORT, "udp")


def _state(pid: int) -> str:
    """Return a process's state as a letter; an empty text where it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _read(path: pathlib.Path) -> str:
    return path.read_text(errors="replace")


def _addresses(files: Iterable[str]) -> set[str]:
    return {address for file in files for address in file.partition("\n")[0].split(",")}
