"""The instance's nft table, kept equal to the records in atomic transactions; no other table is touched.

The kernel numbers every change of any rules (the generation). While the number is that of our own last change, the
table is as we made it, and need not be listed.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection, Iterable, Mapping

from agent import errors
from agent.engine.network import netfilter, ruleset
from agent.engine.network.ruleset import Forwarding
from agent.engine.spec import network as network_spec
from agent.kit import batching, failpoint, frozen, processes
from agent.reasons import Reason

_APPLY = failpoint.register("network.firewall")
_TRIES = 3
"""Attempts to list a new table without others' changes in between."""


@frozen.value
class RulesetInput:
    """Inputs of the ruleset."""

    networks: tuple[network_spec.NetworkRecord, ...]
    forwardings: Mapping[str, tuple[Forwarding, ...]]
    """Forwardings by container."""
    routed: tuple[str, ...] = ()
    """Links that packets are forwarded from only because the instance has turned forwarding on."""


class Firewall:
    """The table. Changes that come together share a transaction."""

    def __init__(
        self,
        table: str,
        ruleset_input: Callable[[], RulesetInput],
        forwardings: Callable[[str], tuple[Forwarding, ...]],
    ) -> None:
        """Take the table's name, and the sources of its inputs and of one container's ports."""
        self._table = table
        self._ruleset_input = ruleset_input
        self._forwardings_of = forwardings
        self._lock = asyncio.Lock()
        self._batch = batching.Batch(self._bring_up_to_date)
        self._networks_changed = True
        self._changed: set[str] = set()
        self._installed: dict[str, tuple[Forwarding, ...]] = {}
        """Installed forwardings, by container; their conntrack entries are correct."""
        self._owners: dict[tuple[str, str], str] = {}
        """The container of each element, by the element's map and key."""
        self._fixed = ""
        self._generation: int | None = None
        """The generation of the rules at which the table was as we made it."""

    async def apply(self) -> None:
        """Make the whole table agree with the records. Raises ``errors.Unavailable`` where nft refuses."""
        self._networks_changed = True
        await self._share()

    async def update(self, container_id: str) -> None:
        """Make the table agree with what one container publishes now. Raises ``errors.Unavailable``."""
        self._changed.add(container_id)
        await self._share()

    async def remove(self) -> None:
        """Remove the table."""
        async with self._lock:
            await _nft(f"table inet {self._table}\ndelete table inet {self._table}\n")
            self._generation, self._networks_changed = None, True
            self._installed.clear()
            self._owners.clear()

    async def is_intact(self) -> bool:
        """Return whether the table is unchanged; it is listed only if any rules have changed since."""
        async with self._lock:
            return await self._is_intact()

    def present(self) -> bool:
        """Return whether the table exists, whatever is in it."""
        return netfilter.has_table(self._table)

    async def _share(self) -> None:
        await self._batch.done()
        _APPLY.hit()

    async def _bring_up_to_date(self) -> None:
        async with self._lock:
            await self._apply()

    async def _apply(self) -> None:
        whole, changed = self._networks_changed, self._changed
        self._networks_changed, self._changed = False, set()
        try:
            if whole or not await self._is_intact():
                await self._replace()
            else:
                await self._change(changed)
        except BaseException:
            self._networks_changed = True
            raise

    async def _replace(self) -> None:
        ruleset_input = self._ruleset_input()
        before = _all(self._installed.values()) if self._generation is not None and self.present() else frozenset()
        installed = {container_id: ports for container_id, ports in ruleset_input.forwardings.items() if ports}
        after = _all(installed.values())
        self._generation = None
        await _nft(
            ruleset.replacement(self._table, ruleset_input.networks, sorted(after, key=str), ruleset_input.routed)
        )
        self._installed.clear()
        self._owners.clear()
        for container_id, ports in installed.items():
            self._install(container_id, ports)
        await self._remember()
        await asyncio.to_thread(_forget, after - before, before - after)

    async def _change(self, changed: Collection[str]) -> None:
        current = {container_id: self._forwardings_of(container_id) for container_id in changed}
        for forwarding in _all(current.values()):  # the former owner has released the port
            owner = self._owners.get(ruleset.element(forwarding).slot)
            if owner is not None and owner not in current:
                current[owner] = self._forwardings_of(owner)
        before = _all(self._installed.get(container_id, ()) for container_id in current)
        after = _all(current.values())
        if before != after:
            removed, added = map(ruleset.element, before - after), map(ruleset.element, after - before)
            generation = netfilter.generation()
            await _nft(ruleset.change(self._table, removed, added))
            following = netfilter.generation()
            undisturbed = generation == self._generation and following == netfilter.next_generation(generation)
            self._generation = following if undisturbed else None
        for container_id, ports in current.items():
            self._install(container_id, ports)
        if before != after and any(port.port.protocol == "udp" for port in before ^ after):
            await asyncio.to_thread(_forget, after - before, before - after)

    def _install(self, container_id: str, ports: tuple[Forwarding, ...]) -> None:
        """Remember the forwardings that the table now has for a container."""
        for forwarding in self._installed.pop(container_id, ()):
            slot = ruleset.element(forwarding).slot
            if self._owners.get(slot) == container_id:
                del self._owners[slot]
        if ports:
            self._installed[container_id] = ports
            self._owners |= {ruleset.element(forwarding).slot: container_id for forwarding in ports}

    async def _remember(self) -> None:
        """Remember the table as the kernel lists it, to compare with later."""
        for _ in range(_TRIES):
            generation = netfilter.generation()
            listing = await self._list()
            if netfilter.generation() == generation:
                self._generation = generation
                self._fixed = listing.fixed if listing else ""
                return

    async def _is_intact(self) -> bool:
        generation = netfilter.generation()
        if generation is not None and generation == self._generation:
            return True
        listing = await self._list()
        expected = frozenset(map(ruleset.element, _all(self._installed.values())))
        if listing is None or not self._fixed or listing.fixed != self._fixed or listing.elements != expected:
            return False
        self._generation = generation
        return True

    async def _list(self) -> ruleset.Listing | None:
        completed = await processes.run([_program(), "-s", "list", "table", "inet", self._table])
        return ruleset.read(completed.stdout.decode()) if completed.returncode == 0 else None


def _all(groups: Iterable[Iterable[Forwarding]]) -> frozenset[Forwarding]:
    return frozenset(forwarding for group in groups for forwarding in group)


def _forget(begun: Iterable[Forwarding], ended: Iterable[Forwarding]) -> None:
    """Delete conntrack entries of UDP flows that the previous rules translated."""
    for forwarding in (forwarding for forwarding in begun if forwarding.port.protocol == "udp"):
        for flow in netfilter.flows(forwarding.port.host):
            if flow.answerer != forwarding.address and _is_for(flow.destination, forwarding.port.address):
                netfilter.forget(flow)
    for forwarding in (forwarding for forwarding in ended if forwarding.port.protocol == "udp"):
        for flow in netfilter.flows(forwarding.port.host):
            if flow.answerer == forwarding.address and flow.destination != forwarding.address:
                netfilter.forget(flow)


def _is_for(destination: network_spec.Address, published: network_spec.Address) -> bool:
    """Return whether a port that is published on an address answers for a destination."""
    if not published.is_unspecified:
        return destination == published
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((str(destination), 0))  # only the host's own addresses can be bound
        return True
    return False


async def _nft(commands: str) -> None:
    completed = await processes.run([_program(), "-f", "-"], processes.Options(stdin=commands.encode()))
    if completed.returncode:
        message = completed.stderr.decode(errors="replace").strip()[:500]
        raise errors.Unavailable(
            f"nft refuses the firewall: {message}", hint="trimtab doctor", reason=Reason.FIREWALL_FAILED
        )


def _program() -> str:
    program = processes.which("nft")
    if program is None:
        raise errors.Unavailable("nft is not installed", hint="apt-get install nftables", reason=Reason.NO_NFT)
    return str(program)
