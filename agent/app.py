"""The composition root: the only place that knows every room and joins them. It decides nothing by itself."""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import AsyncIterator, Iterator

from agent import errors, service, settings
from agent.converge import intake, journal, loop, once, reconcile, signals
from agent.engine import layout
from agent.kit import clock, lean, locks
from agent.manifests import pipeline
from agent.model import abilities, ledger, policy, secret, state
from agent.observe import snapshot
from agent.plan import plan, planner
from agent.runtime import api as runtime_api
from agent.sources import api as sources_api
from agent.sources import directory, locate

ENGINES = frozenset({"docker", "podman"})
"""Runtimes that are somebody else's program, driven by its API."""


class RootUnusable(errors.TrimtabError):
    """The root cannot be made or written to."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sight:
    """What a plan depends on beside the declaration, all of it: so a plan can be made again elsewhere."""

    owner: str
    in_place: frozenset[policy.InPlace]
    observed: state.ObservedState


@contextlib.asynccontextmanager
async def open_runtime(chosen: settings.Settings, *, exclusive: bool) -> AsyncIterator[runtime_api.Runtime]:
    """Open the chosen runtime. ``exclusive``: to change things; otherwise only to look, beside a running agent.

    Raises the runtime's errors, and ``kit.locks.LockedElsewhere`` where another process may change things already.
    """
    if exclusive:
        _prepare(chosen.root)
    match chosen.runtime:
        case "memory":
            from agent.drivers.memory import driver as memory

            with _locked(chosen) if exclusive else contextlib.nullcontext():
                async with memory.open_runtime() as runtime:
                    yield runtime
        case "docker" | "podman":
            from agent.drivers.docker import driver as docker
            from agent.drivers.docker import endpoint

            notes = chosen.root / f"{chosen.runtime}.json"
            instance = docker.Instance(owner(chosen), notes, read_only=not exclusive)
            where = endpoint.find(chosen.runtime, os.environ)
            with _locked(chosen) if exclusive else contextlib.nullcontext():
                async with docker.open_runtime(where, instance) as engine:
                    yield engine
        case _:
            async with _open_native(chosen, exclusive=exclusive) as ours:
                yield ours


@contextlib.asynccontextmanager
async def open_source(
    chosen: settings.Settings, text: str, *, prefer_checkout: bool = False
) -> AsyncIterator[sources_api.Source]:
    """Open the source that a SOURCE names. Without access to the root, git repositories are kept for this call only."""
    rhythm = directory.Rhythm(chosen.source.quiet, chosen.source.settle, chosen.source.rescan)
    with contextlib.ExitStack() as stack:
        checkouts = chosen.root / "sources"
        if not _may_write(chosen.root):
            checkouts = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-")))
        async with locate.locate(text, checkouts, rhythm=rhythm, prefer_checkout=prefer_checkout) as source:
            yield source


def owner(chosen: settings.Settings) -> str:
    """Give the name by which this instance marks what is its own."""
    return layout.Layout(chosen.root, chosen.run).instance


async def read(chosen: settings.Settings, text: str) -> intake.Reading:
    """Read a SOURCE once. Raises ``SourceUnavailable``; problems in it are part of the answer."""
    async with open_source(chosen, text) as source:
        return intake.understand(await source.snapshot(), terms(chosen))


def terms(chosen: settings.Settings) -> pipeline.Terms:
    """Say what manifests are read under, without asking the runtime. Raises ``BadEndpoint``."""
    return pipeline.Terms(lacking(chosen), chosen.registries.default)


def lacking(chosen: settings.Settings) -> abilities.Lacking:
    """Say what the chosen runtime cannot do, without asking it. Raises ``BadEndpoint``."""
    if chosen.runtime not in ENGINES:
        return abilities.EVERYTHING
    from agent.drivers.docker import abilities as docker
    from agent.drivers.docker import endpoint

    return docker.lacking(chosen.runtime, local=endpoint.is_local(chosen.runtime, os.environ))


async def observe(chosen: settings.Settings) -> Sight:
    """Look at everything once. Nothing is probed: what a running agent's probes say is its own."""
    async with open_runtime(chosen, exclusive=False) as runtime:
        observer = snapshot.Observer(runtime, tuple, clock.SystemClock())
        return Sight(owner(chosen), runtime.features.in_place, await observer.observe(_ledger(chosen)))


def declared_logins(chosen: settings.Settings) -> tuple[secret.Login, ...]:
    """Give what the last good revision declares to be shown to registries."""
    if not chosen.journal.exists():
        return ()
    try:
        with journal.Journal(chosen.journal) as book:
            good = book.good()
    except journal.JournalUnavailable:
        return ()
    return good.desired.logins if good else ()


def plan_for(desired: state.DesiredState, sight: Sight) -> plan.Plan:
    """Say what would be done. A state that declares nothing removes nothing."""
    rules = policy.PlanPolicy(owner=sight.owner, prune=any(True for _ in desired), in_place=sight.in_place)
    return planner.compute_plan(desired, sight.observed, rules)


@contextlib.asynccontextmanager
async def open_parts(chosen: settings.Settings, sink: signals.Sink) -> AsyncIterator[reconcile.Parts]:
    """Open all that is needed to change an instance. Raises the runtime's errors and ``JournalUnavailable``."""
    async with open_runtime(chosen, exclusive=True) as runtime:
        with journal.Journal(chosen.journal, lambda message: sink(signals.JournalFailed(message))) as book:
            if chosen.runtime == "memory":  # its objects ended with it: nobody has removed them
                book.forget([entry.key for entry in book.ledger()])
            yield reconcile.Parts(
                runtime=runtime,
                book=book,
                sink=sink,
                time=clock.SystemClock(),
                owner=owner(chosen),
                parallel=chosen.converge.parallel,
                relist=chosen.converge.relist,
                registry=chosen.registries.default,
            )


async def apply(chosen: settings.Settings, text: str, sink: signals.Sink) -> once.Converged:
    """Bring about what a SOURCE declares now. Raises ``SourceUnavailable`` and ``BadManifests``, changing nothing."""
    async with open_source(chosen, text) as source, open_parts(chosen, sink) as parts:
        return await once.apply(parts, source)


async def delete(chosen: settings.Settings, text: str, sink: signals.Sink) -> once.Converged:
    """Remove what a SOURCE declares. Raises as ``apply``."""
    declared = (await read(chosen, text)).checked()
    async with open_parts(chosen, sink) as parts:
        return await once.delete(parts, declared)


async def run(chosen: settings.Settings, text: str) -> None:
    """Be the agent: converge and keep converged, until SIGINT or SIGTERM. Containers keep running then.

    Raises the runtime's errors, ``JournalUnavailable`` and ``CannotListen``, all of them before anything is changed.
    """
    lean.frugal()
    with lean.without("rich"):
        import structlog

        from agent.telemetry import exporter, logging, narrator, server, tally

    logging.configure(chosen.log.format, chosen.log.level)
    counts, story = tally.Tally(), narrator.Narrator()

    def sink(signal: signals.Signal) -> None:
        counts.take(signal)
        story.take(signal)

    async with contextlib.AsyncExitStack() as stack:
        source = await stack.enter_async_context(open_source(chosen, text, prefer_checkout=True))
        parts = await stack.enter_async_context(open_parts(chosen, sink))
        going = loop.Loop(parts, source)
        port = None
        if chosen.listen is not None:
            scrapes = exporter.Exporter(counts, parts.runtime, parts.time)
            address = (chosen.listen.host, chosen.listen.port)
            port = (await stack.enter_async_context(server.Server(address, scrapes, going.alive, going.ready))).port
        lean.settle()
        log = structlog.get_logger()
        log.info(
            "the agent runs", source=source.name, runtime=parts.runtime.features.name, root=str(chosen.root), port=port
        )
        log.info("the agent stops", signal=await service.until_stopped(going))


@contextlib.asynccontextmanager
async def _open_native(chosen: settings.Settings, *, exclusive: bool) -> AsyncIterator[runtime_api.Runtime]:
    """Open our own engine, told in its words what is set of it."""
    from agent.drivers.native import driver
    from agent.engine import engine
    from agent.engine.images import collection, signatures
    from agent.engine.layers import streams
    from agent.engine.registry import hosts, transport

    told = (
        hosts.Host(one.registry, one.mirrors, one.plain_http, transport.Tls(one.ca, one.certificate, one.key))
        for one in chosen.registries.hosts
    )
    options = engine.Options(
        registries=hosts.Hosts(tuple(told)),
        verify=tuple(signatures.Rule(one.match, one.keys) for one in chosen.verify),
        limits=streams.Limits(chosen.layers.entries, chosen.layers.unpacked, chosen.layers.ratio),
        garbage=collection.Thresholds(chosen.garbage.high, chosen.garbage.low, chosen.garbage.minimum_age),
    )
    async with driver.open_runtime(chosen.root, chosen.run, options=options, exclusive=exclusive) as runtime:
        yield runtime


@contextlib.contextmanager
def _locked(chosen: settings.Settings) -> Iterator[None]:
    """Hold the instance's lock, for a runtime that has none of its own."""
    lock = locks.FileLock(layout.Layout(chosen.root, chosen.run).lock).acquire()
    try:
        yield
    finally:
        lock.release()


def _prepare(root: pathlib.Path) -> None:
    """Make the root, closed to everybody else."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = "" if os.access(root, os.W_OK | os.X_OK) else "permission denied"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    if reason:
        raise RootUnusable(f"{root} cannot be used as root: {reason}", hint="run as root, or give another --root")


def _ledger(chosen: settings.Settings) -> tuple[ledger.LedgerEntry, ...]:
    if chosen.runtime == "memory":
        return ()
    try:
        with journal.Journal(chosen.journal) as book:
            return book.ledger()
    except journal.JournalUnavailable:
        return ()


def _may_write(root: pathlib.Path) -> bool:
    """Tell whether this process may keep things at the root, which may have to be made first."""
    while not os.path.exists(root):  # noqa: PTH110 - False, and no error, where a parent may not be searched
        root = root.parent
    return os.access(root, os.W_OK | os.X_OK)
