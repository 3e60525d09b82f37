"""The composition root: the only place that knows every room and joins them. It decides nothing by itself."""

import contextlib
import dataclasses
import os
import pathlib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping

from agent import errors, host_key, service, settings, trust
from agent.agent_api import names as spelling
from agent.agent_api import records
from agent.agent_api import restart as restarts
from agent.agent_api import suspension as suspension_answer
from agent.converge import journal, loop, once, reading, reconcile, signals
from agent.engine import claims, layout, stamps
from agent.kit import canonical, clock, deferral, frozen, instance, lean, permissions
from agent.manifests import admission, pipeline
from agent.model import features, hostaccess, ledger, policy, secret, state, suspension
from agent.observe import snapshot
from agent.plan import plan, planner
from agent.runtime import api as runtime_api
from agent.sources import api as sources_api
from agent.sources import directory, limits, locate

ENGINES = frozenset({"docker", "podman"})
"""Runtimes that are somebody else's program, driven by its API."""


class RootUnusable(errors.TrimtabError):
    """The root cannot be made or written to."""


_WAY_OUT = f"{permissions.RUN_AS_ROOT}, or give another --root"


@frozen.value
class Sight:
    """What a plan depends on beside the declaration, all of it: so a plan can be made again elsewhere."""

    owner: str
    in_place: frozenset[policy.InPlace]
    observed: state.ObservedState = dataclasses.field(repr=False)  # see ``reading.Reading``
    secrets_key: str = dataclasses.field(default="", metadata=canonical.absent(""))
    """``secret.key_id`` of the key that fingerprints of Secrets' values were made with; empty where it is not known."""


@contextlib.asynccontextmanager
async def open_runtime(
    chosen: settings.Settings, *, exclusive: bool, access: hostaccess.HostAccess = hostaccess.UNLIMITED
) -> AsyncIterator[runtime_api.Runtime]:
    """Open the chosen runtime. ``exclusive``: to change things; otherwise only to look, beside a running agent.

    ``access``: what containers may have of the host.

    Raises the runtime's errors, ``kit.locks.LockedElsewhere`` where another process may change things already, and
    ``stamps.ForeignDirectory`` where root and run directory are not one instance's.
    """
    deferral.load()  # here threads begin
    if exclusive:
        _prepare(chosen.root)
    elif permissions.is_withheld(chosen.root):
        raise RootUnusable(f"{chosen.root} cannot be read: permission denied", hint=permissions.RUN_AS_ROOT)
    match chosen.runtime:
        case "memory":
            from agent.drivers.memory import driver as memory

            async with _claimed(chosen, exclusive=exclusive), memory.open_runtime() as runtime:
                yield runtime
        case "docker" | "podman":
            from agent.drivers.docker import driver as docker
            from agent.drivers.docker import endpoint

            notes = chosen.root / f"{chosen.runtime}.json"
            pids = chosen.containers.pids
            instance = docker.Instance(owner(chosen), notes, read_only=not exclusive, access=access, pids=pids)
            async with _claimed(chosen, exclusive=exclusive):
                where = endpoint.find(chosen.runtime, os.environ)
                async with docker.open_runtime(where, instance) as engine:
                    yield engine
        case _:
            async with _open_native(chosen, access, exclusive=exclusive) as ours:
                yield ours


@contextlib.asynccontextmanager
async def open_source(
    chosen: settings.Settings, text: str, *, prefer_checkout: bool = False
) -> AsyncIterator[sources_api.Source]:
    """Open the source that a SOURCE names. Without access to the root, git repositories are kept for this call only."""
    deferral.load()  # here threads begin
    chosen_source = chosen.source
    options = locate.Options(
        intervals=directory.WatchIntervals(chosen_source.quiet, chosen_source.settle, chosen_source.rescan),
        limits=limits.Limits(
            chosen_source.files,
            chosen_source.total,
            chosen_source.depth,
            chosen_source.entries,
            chosen_source.checkout,
            chosen_source.fetch,
        ),
        allow_insecure_transports=chosen_source.allow_insecure_transports,
        prefer_checkout=prefer_checkout,
    )
    with contextlib.ExitStack() as stack:
        checkouts = chosen.root / "sources"
        if not _may_write(chosen.root):
            checkouts = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-")))
        async with locate.locate(text, checkouts, options) as source:
            yield source


def owner(chosen: settings.Settings) -> str:
    """Return the name by which this instance marks what is its own."""
    return instance.of(chosen.root)


async def read(chosen: settings.Settings, text: str) -> reading.Reading:
    """Read a SOURCE once. Raises ``SourceUnavailable``; problems in it are part of the answer."""
    async with open_source(chosen, text) as source:
        return reading.understand(
            await sources_api.settled(source), parse_options(chosen, trust.policy_for(chosen, text))
        )


def parse_options(chosen: settings.Settings, admitted: admission.Policy) -> pipeline.ParseOptions:
    """Say what manifests are read under, without asking the runtime. Raises ``BadEndpoint``."""
    default = chosen.registries.default
    return pipeline.ParseOptions(unsupported(chosen), default, admitted, host_key.read(chosen))


def unsupported(chosen: settings.Settings) -> features.Unsupported:
    """Say what the chosen runtime cannot do, without asking it. Raises ``BadEndpoint``."""
    if chosen.runtime not in ENGINES:
        return features.NOTHING_UNSUPPORTED
    from agent.drivers.docker import endpoint, unsupported_features

    return unsupported_features.of(chosen.runtime, local=endpoint.is_local(chosen.runtime, os.environ))


async def observe(chosen: settings.Settings) -> Sight:
    """Look at everything once. Nothing is probed: what a running agent's probes say is its own."""
    async with open_runtime(chosen, exclusive=False) as runtime:
        observer = snapshot.Observer(runtime, tuple, clock.SystemClock())
        entries, suspensions = _remembered(chosen)
        observed = dataclasses.replace(await observer.observe(entries), suspensions=suspensions)
        return Sight(owner(chosen), runtime.features.in_place, observed, host_key.identity(chosen))


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
    return planner.preview(desired, sight.observed, rules)


@contextlib.asynccontextmanager
async def open_parts(
    chosen: settings.Settings, sink: signals.Sink, admitted: admission.Policy = admission.EVERYTHING
) -> AsyncIterator[reconcile.Parts]:
    """Open all that is needed to change an instance, by a source that may ask for what is ``admitted``.

    Raises the runtime's errors, ``JournalUnavailable``, and ``NewerState`` before anything is changed.
    """
    _check_journal(chosen)
    async with open_runtime(chosen, exclusive=True, access=admitted.access) as runtime:
        with journal.Journal(chosen.journal, lambda message: sink(signals.JournalFailed(message))) as book:
            if chosen.runtime == "memory":  # its objects ended with it: nobody has removed them
                book.forget([entry.key for entry in book.ledger()])
            else:
                book.note_runtime(chosen.runtime)
            yield reconcile.Parts(
                runtime=runtime,
                book=book,
                sink=sink,
                time=clock.SystemClock(),
                owner=owner(chosen),
                parallel=chosen.converge.parallel,
                relist=chosen.converge.relist,
                registry=chosen.registries.default,
                admitted=admitted,
                host_key=host_key.read_or_create(chosen),
            )


async def apply(chosen: settings.Settings, text: str, sink: signals.Sink) -> once.Converged:
    """Bring about what a SOURCE declares now. Raises ``SourceUnavailable`` and ``BadManifests``, changing nothing."""
    admitted = trust.policy_for(chosen, text)
    async with open_source(chosen, text) as source, open_parts(chosen, sink, admitted) as parts:
        return await once.apply(parts, source)


async def delete(chosen: settings.Settings, text: str, sink: signals.Sink) -> once.Converged:
    """Remove what a SOURCE declares, and what is kept of the source here. Raises as ``apply``."""
    async with open_source(chosen, text) as source:
        snapshot = await sources_api.settled(source)
        everything = parse_options(
            chosen, admission.EVERYTHING
        )  # whatever it asks of the host: it is only to be removed
        declared = reading.understand(snapshot, everything).checked()
        async with open_parts(chosen, sink) as parts:
            converged = await once.delete(parts, declared)
        if converged.outcome is once.Outcome.APPLIED:
            await source.forget()
        return converged


async def set_suspended(
    chosen: settings.Settings, names: tuple[str, ...], *, is_suspended: bool
) -> suspension_answer.Answer:
    """Suspend or resume what is named, or the source where nothing is, while no agent runs here.

    Raises ``JournalUnavailable``, ``kit.locks.LockedElsewhere`` and ``names.UnknownObject``.
    """
    with journal.Journal(chosen.journal) as book:  # says what to do where nothing has ever run here
        good = book.good()
        keys = {item.key for item in book.statuses()} | {
            state.key_of(config) for config in (good.desired if good else ())
        }
        requested = spelling.resolve(names, keys) if names else None
    async with claims.held(layout.of(chosen.root, chosen.run), needs_run=False):
        with journal.Journal(chosen.journal, lambda _: None) as book:
            change = book.suspend if is_suspended else book.resume
            changed = change(requested, clock.SystemClock().now())
            return suspension_answer.of(requested, changed, (), book.suspensions.current)


async def restart(
    chosen: settings.Settings, names: tuple[str, ...], seconds: float, sink: signals.Sink
) -> restarts.Answer:
    """Restart containers as they were declared last, while no agent runs here, in so many seconds.

    Raises ``JournalUnavailable``, the runtime's errors, ``names.UnknownObject``, ``CannotRestart`` and ``NotThere``.
    """
    with journal.Journal(chosen.journal) as book:
        good = book.good()
        desired = state.DesiredState("") if good is None else good.desired
        keys = restarts.resolve(names, [item.key for item in book.statuses()], desired, book.suspensions.current)
    admitted = admission.EVERYTHING if good is None else trust.policy_for(chosen, good.source)
    refusal = next(admission.refusals(desired, admitted), None)
    if refusal is not None:  # settings have changed: what runs goes on, and nothing is done by it any more
        raise restarts.CannotRestart(f"what was declared is no longer admitted: {refusal}")
    async with open_parts(chosen, sink, admitted) as parts:
        return records.restarts(await once.restart(parts, keys, seconds))


async def run(
    chosen: settings.Settings,
    text: str,
    removal: str,
    completed: Callable[[str], str],
    dropped_log_lines: Callable[[], int],
) -> None:
    """Be the agent: converge and keep converged, until SIGINT or SIGTERM. Containers keep running then.

    ``removal`` is the command that people are told to remove things by; ``completed`` returns a text whose commands
    have the flags that lead to this instance; ``dropped_log_lines`` says how many lines of the log nobody has read in
    time.

    Raises the runtime's errors, ``JournalUnavailable`` and ``CannotListen``, all of them before anything is changed.
    """
    service.outlive_hang_up()
    lean.frugal()
    with lean.without("rich"):
        from agent.agent_api import live, location, routes
        from agent.agent_api import server as agent_api
        from agent.telemetry import exporter, log_sink, logging, metrics_sink, server

    logging.configure(chosen.log.format, chosen.log.level, sys.stderr)
    metrics, log_lines, facts = metrics_sink.MetricsSink(), log_sink.LogSink(removal, completed), live.LiveFacts()

    metrics.dropped_log_lines = dropped_log_lines

    def sink(signal: signals.Signal) -> None:
        metrics.take(signal)
        log_lines.take(signal)
        facts.take(signal)

    async with contextlib.AsyncExitStack() as stack:
        source = await stack.enter_async_context(open_source(chosen, text, prefer_checkout=True))
        admitted = trust.policy_for(chosen, text)
        parts = await stack.enter_async_context(open_parts(chosen, sink, admitted))
        going = loop.Loop(parts, source)
        live_status = live.LiveStatus(facts, parts, chosen.root, going.alive, source.name)
        answers = routes.Answers(live_status, parts.book.history, going, location.identity(text), parts.runtime)
        await stack.enter_async_context(agent_api.Server(chosen.run, answers.routes()))
        port = None
        if chosen.listen is not None:
            scrapes = exporter.Exporter(metrics, parts.runtime, parts.time)
            address = (chosen.listen.host, chosen.listen.port)
            port = (await stack.enter_async_context(server.Server(address, scrapes, going.alive, going.ready))).port
        lean.settle()
        details = {"source": source.name, "runtime": parts.runtime.features.name, "root": str(chosen.root)}
        await _go_on(going, {**details, "port": port, "admission": admitted.level.value})


async def _go_on(going: loop.Loop, details: Mapping[str, object]) -> None:
    """Run the loop until the process is told to stop, and log its beginning, with details, and its end."""
    import structlog

    log = structlog.get_logger()
    log.info("the agent runs", **details)

    def hang_up() -> None:
        log.info("looking at everything again", signal="SIGHUP")
        going.wake()

    log.info("the agent stops", signal=await service.until_stopped(going, hang_up))


@contextlib.asynccontextmanager
async def _open_native(
    chosen: settings.Settings, access: hostaccess.HostAccess, *, exclusive: bool
) -> AsyncIterator[runtime_api.Runtime]:
    """Open our own engine, told in its words what is set of it."""
    from agent.distribution.layers import streams
    from agent.distribution.registry import hosts, transport
    from agent.drivers.native import driver
    from agent.engine import engine
    from agent.engine.images import collection, signatures

    registries = (
        hosts.Host(host.registry, host.mirrors, host.plain_http, transport.Tls(host.ca, host.certificate, host.key))
        for host in chosen.registries.hosts
    )
    options = engine.Options(
        pids=chosen.containers.pids,
        registries=hosts.Hosts(tuple(registries)),
        least_speed=transport.LeastSpeed(chosen.registries.speed_limit, chosen.registries.speed_time),
        verify=signatures.Policy(
            tuple(signatures.Rule(rule.match, rule.keys) for rule in chosen.verify.rules),
            refuse_others=chosen.verify.default == settings.REFUSE,
        ),
        limits=streams.Limits(chosen.layers.entries, chosen.layers.unpacked, chosen.layers.ratio),
        garbage=collection.Thresholds(chosen.garbage.high, chosen.garbage.low, chosen.garbage.minimum_age),
    )
    async with driver.open_runtime(
        chosen.root, chosen.run, options=options, exclusive=exclusive, access=access
    ) as runtime:
        yield runtime


@contextlib.asynccontextmanager
async def _claimed(chosen: settings.Settings, *, exclusive: bool) -> AsyncIterator[None]:
    """Hold the instance for a runtime that does not do so by itself; whoever only looks checks that it is one."""
    where = layout.of(chosen.root, chosen.run)
    if not exclusive:
        stamps.check(where)
        yield
        return
    async with claims.held(where, needs_run=False):
        yield


def _prepare(root: pathlib.Path) -> None:
    """Make the root, closed to everybody else."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = "" if os.access(root, os.W_OK | os.X_OK) else "permission denied"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    if reason:
        raise RootUnusable(f"{root} cannot be used as root: {reason}", hint=_WAY_OUT)


def _check_journal(chosen: settings.Settings) -> None:
    """Raise ``NewerState`` where a newer release has written the journal; a damaged one is mended later."""
    with contextlib.suppress(journal.JournalUnavailable), journal.Journal(chosen.journal):
        pass


def _remembered(chosen: settings.Settings) -> tuple[tuple[ledger.LedgerEntry, ...], suspension.Suspensions]:
    """Return the ledger and what is suspended, as far as the journal can be read."""
    try:
        with journal.Journal(chosen.journal) as book:
            return () if chosen.runtime == "memory" else book.ledger(), book.suspensions.current
    except journal.JournalUnavailable:
        return (), suspension.Suspensions()


def _may_write(root: pathlib.Path) -> bool:
    """Tell whether this process may keep things at the root, which may have to be made first."""
    while not os.path.exists(root):  # noqa: PTH110 - False, and no error, where a parent may not be searched
        root = root.parent
    return os.access(root, os.W_OK | os.X_OK)
