"""Probes in their rhythm, over the memory runtime in virtual time: kubelet's rules, one by one."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from agent import errors
from agent.drivers.memory import driver, world
from agent.model import container, health
from agent.observe import checks, probes
from agent.runtime import api, streams
from tests import builders
from tests.unit.converge import conftest as virtual

pytestmark = pytest.mark.looptime

EXEC = health.ExecProbe(("check",))


def probe(action: health.ProbeAction = EXEC, **fields: float) -> health.Probe:
    """Return a probe each second that fails at once."""
    rhythm = {"initial_delay": 0.0, "period": 1.0, "timeout": 0.5, "success_threshold": 1, "failure_threshold": 1}
    return health.Probe(action, **{**rhythm, **fields})


@dataclasses.dataclass(slots=True)
class Stage:
    """One container that is probed, and all that is told of it."""

    world: world.World
    runtime: api.Runtime
    prober: probes.Prober
    results: list[probes.ProbeResult]
    moments: list[float]
    """When each check was finished, in seconds since the container was started."""
    changes: list[float]
    begun: float = 0.0
    config: container.ContainerConfig = dataclasses.field(default_factory=builders.config)
    codes: list[int] = dataclasses.field(default_factory=lambda: [0])
    """What the command exits with, check by check; the last one is repeated."""

    async def runs(self, **kinds: health.Probe) -> None:
        """Start the container with probes, and probe it."""
        config = health.HealthConfig(**{"startup": None, "readiness": None, "liveness": None, **kinds})
        self.config = builders.config(health=config, network_mode=self.config.network_mode)
        await self.runtime.images.ensure(builders.image_config(), (), lambda _: None)
        identity = await self.runtime.containers.create(self.config, "web", builders.labels_for(self.config))
        await self.runtime.containers.start(identity)
        self.begun = asyncio.get_running_loop().time()
        await self.track()

    async def track(self) -> None:
        """Look at what runs, as each pass of the loop does."""
        self.prober.track([self.config], await self.runtime.containers.list())

    def health(self) -> health.ObservedHealth:
        """Return what is known of the container."""
        return self.prober.health()[0]

    def run(self, _: streams.ExecRequest) -> tuple[int, bytes]:
        """Return the next exit code, and an output beyond ASCII."""
        return (self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]), "größe".encode()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Return a prober over an empty world."""
    clock = virtual.LoopClock()
    around = world.World(clock)
    runtime = driver.runtime_in(around)
    opened: list[Stage] = []

    def note(result: probes.ProbeResult) -> None:
        opened[0].results.append(result)
        opened[0].moments.append(round(clock.monotonic() - opened[0].begun, 3))

    def change() -> None:
        opened[0].changes.append(round(clock.monotonic() - opened[0].begun, 3))

    async with probes.Prober(runtime, clock, change, note) as prober:
        opened.append(Stage(around, runtime, prober, [], [], []))
        around.program("check", opened[0].run)
        yield opened[0]
    around.close()


async def test_rhythm__is_the_period__after_the_initial_delay(stage) -> None:
    await stage.runs(liveness=probe(initial_delay=2.5))
    await asyncio.sleep(5)
    assert stage.moments == [2.5, 3.5, 4.5]


async def test_rhythm__a_slow_check__does_not_shift_it(stage) -> None:
    stage.world.delay("containers.exec", 0.3)
    await stage.runs(liveness=probe())
    await asyncio.sleep(2.5)
    assert stage.moments == [0.3, 1.3, 2.3]


async def test_initial_delay__the_container_runs_longer_already__is_over(stage) -> None:
    await stage.runs()
    await asyncio.sleep(60)
    stage.config = dataclasses.replace(
        stage.config, health=health.HealthConfig(None, None, probe(initial_delay=30, period=10))
    )
    await stage.track()
    await asyncio.sleep(5)
    assert stage.moments == [60.0]


async def test_timeout__is_a_failure_and_the_next_check_comes_in_time(stage) -> None:
    stage.world.delay("containers.exec", 5.0)
    await stage.runs(readiness=probe(timeout=0.5))
    await asyncio.sleep(2)
    assert stage.moments == [0.5, 1.5]
    assert [(result.outcome, result.message) for result in stage.results] == [
        (checks.ProbeOutcome.FAILURE, "no answer within 0.5 s")
    ] * 2


async def test_timeout__longer_than_the_period__is_never_two_checks_at_once(stage) -> None:
    stage.world.delay("containers.exec", 2.5)
    await stage.runs(readiness=probe(timeout=3.0))
    await asyncio.sleep(8)
    assert stage.moments == [2.5, 5.0, 7.5]


async def test_thresholds__count_results_in_a_row(stage) -> None:
    stage.codes = [0, 3, 3, 0, 3, 3, 3, 0, 0]
    await stage.runs(readiness=probe(failure_threshold=3, success_threshold=2))
    readiness = []
    for _ in range(9):
        await asyncio.sleep(0.5)
        readiness.append(stage.health().ready)
        await asyncio.sleep(0.5)
    assert readiness == [False, False, False, False, False, False, False, False, True]


async def test_readiness__fails_after_success__is_unready_and_never_ends_the_container(stage) -> None:
    stage.codes = [0, 3, 0]
    await stage.runs(readiness=probe())
    healths = []
    for _ in range(3):
        await asyncio.sleep(0.5)
        healths.append((stage.health().ready, stage.health().alive, stage.health().message))
        await asyncio.sleep(0.5)
    assert healths == [(True, True, ""), (False, True, "readiness: check exited with 3: größe"), (True, True, "")]


async def test_liveness__failed_for_good__is_not_asked_again_before_another_run(stage) -> None:
    stage.codes = [3]
    await stage.runs(liveness=probe(failure_threshold=2))
    await asyncio.sleep(10)
    assert stage.moments == [0.0, 1.0]
    assert not stage.health().alive
    assert stage.health().failed_at == virtual.EPOCH + asyncio.get_running_loop().time() - 9
    await stage.runtime.containers.stop("web", container.StopConfig("SIGTERM", 0.0))
    stage.codes = [0]
    await stage.runtime.containers.start("web")
    await stage.track()
    await asyncio.sleep(1.5)
    assert stage.health().alive
    assert stage.moments == [0.0, 1.0, 10.0, 11.0]


async def test_startup__until_it_succeeds__others_are_not_asked(stage) -> None:
    stage.codes = [3, 3, 0]
    await stage.runs(startup=probe(failure_threshold=5), readiness=probe(), liveness=probe())
    await asyncio.sleep(1.5)
    assert [result.probe for result in stage.results] == ["startup", "startup"]
    await asyncio.sleep(1)
    assert [result.probe for result in stage.results] == ["startup"] * 3 + ["readiness", "liveness"]
    assert (stage.health().started, stage.health().ready) == (True, True)


async def test_startup__failed_for_good__asks_nothing_any_more(stage) -> None:
    stage.codes = [3]
    await stage.runs(startup=probe(failure_threshold=2), readiness=probe())
    await asyncio.sleep(5)
    assert [result.probe for result in stage.results] == ["startup", "startup"]
    assert stage.health().health is health.Health.UNHEALTHY


@pytest.mark.parametrize(
    "error", [errors.Unavailable("no engine"), errors.Conflict("it has ended"), errors.NotFound("no container")]
)
async def test_command__cannot_be_asked__counts_neither_way(stage, error: errors.Failure) -> None:
    stage.world.fail("containers.exec", error, times=5)
    stage.codes = [3, 0]
    await stage.runs(liveness=probe(failure_threshold=2))
    await asyncio.sleep(4.5)
    assert {(result.outcome, result.message) for result in stage.results} == {
        (checks.ProbeOutcome.UNKNOWN, error.message)
    }
    assert (stage.health().alive, stage.health().message, stage.changes) == (True, "", [])
    await asyncio.sleep(1)
    assert stage.health().message == "liveness: check exited with 3: größe"


async def test_command__does_not_exist__is_a_failure(stage) -> None:
    stage.world.fail("containers.exec", errors.InvalidArgument("no such program"))
    await stage.runs(readiness=probe())
    await asyncio.sleep(0.5)
    assert stage.health().message == "readiness: no such program"


async def test_address__in_no_network_at_the_moment__is_not_the_hosts_loopback(stage) -> None:
    listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        await stage.runs(readiness=probe(health.TcpProbe(port)))
        observed = dataclasses.replace((await stage.runtime.containers.list())[0], addresses=())
        features = dataclasses.replace(stage.runtime.features, is_simulated=False)
        real = dataclasses.replace(stage.runtime, features=features)
        async with probes.Prober(real, virtual.LoopClock(), lambda: None, lambda _: None) as prober:
            prober.track([stage.config], [observed])
            await asyncio.sleep(0.5)
            assert prober.health()[0].message == "readiness: it has no address: it is in no network"
            shared = dataclasses.replace(stage.config, network_mode=container.NetworkMode.HOST)
            prober.track([stage.config], [dataclasses.replace(observed, config=shared)])
            await asyncio.sleep(0.5)
            assert prober.health()[0].ready


@pytest.mark.parametrize("action", [health.TcpProbe(9), health.HttpProbe(9, "/", "http", ())])
async def test_address__of_a_simulated_container__is_asked_by_nobody(stage, action: health.ProbeAction) -> None:
    await stage.runs(readiness=probe(action))
    shared = dataclasses.replace(stage.config, network_mode=container.NetworkMode.HOST)
    observed = dataclasses.replace((await stage.runtime.containers.list())[0], addresses=(), config=shared)
    stage.prober.track([stage.config], [observed])
    await asyncio.sleep(0.5)
    assert stage.health().ready, "where the host refuses connections to that port"


async def test_readiness__goes_on_where_liveness_has_failed_for_good(stage) -> None:
    stage.codes = [0]
    stage.world.program("dead", lambda _: (1, b""))
    await stage.runs(readiness=probe(), liveness=probe(health.ExecProbe(("dead",))))
    await asyncio.sleep(2.5)
    assert [result.probe for result in stage.results].count("readiness") == 3
    assert [result.probe for result in stage.results].count("liveness") == 1


async def test_change__is_told_once__not_each_time(stage) -> None:
    stage.codes = [3, 3, 3, 0, 0]
    await stage.runs(readiness=probe())
    await asyncio.sleep(6)
    assert stage.changes == [0.0, 3.0]


async def test_track__container_ends__is_probed_no_more(stage) -> None:
    await stage.runs(liveness=probe())
    await asyncio.sleep(1.5)
    await stage.runtime.containers.stop("web", container.StopConfig("SIGTERM", 0.0))
    await stage.track()
    await asyncio.sleep(5)
    assert stage.moments == [0.0, 1.0]
    assert stage.prober.health() == ()


async def test_track__container_ends_while_it_is_asked__nothing_is_told(stage) -> None:
    stage.world.delay("containers.exec", 0.4)
    await stage.runs(liveness=probe())
    await asyncio.sleep(0.2)
    stage.prober.track([stage.config], [])
    await asyncio.sleep(5)
    assert stage.results == []


async def test_track__probes_changed__the_new_ones_count_from_the_beginning(stage) -> None:
    stage.codes = [3]
    await stage.runs(readiness=probe())
    await asyncio.sleep(0.5)
    assert stage.health().message
    stage.config = dataclasses.replace(stage.config, health=health.HealthConfig(None, None, probe(failure_threshold=9)))
    await stage.track()
    assert (stage.health().ready, stage.health().message) == (True, "")
    await asyncio.sleep(1.4)
    assert [result.probe for result in stage.results] == ["readiness", "liveness", "liveness"]


async def test_track__the_same_again__changes_nothing(stage) -> None:
    await stage.runs(liveness=probe())
    for _ in range(15):
        await asyncio.sleep(0.1)
        await stage.track()
    assert stage.moments == [0.0, 1.0]


async def test_track__foreign_and_unprobed_ones__are_left_alone(stage) -> None:
    await stage.runs()
    stage.prober.track([], await stage.runtime.containers.list())
    assert stage.prober.health() == ()


async def test_prober__ended__probes_nobody_any_more_and_one_that_breaks_is_reported(stage) -> None:
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    stage.world.fail("containers.exec", RuntimeError("a fault of ours"))
    before = asyncio.all_tasks()
    async with probes.Prober(stage.runtime, virtual.LoopClock(), lambda: None, lambda _: None) as prober:
        await stage.runs(liveness=probe())
        stage.prober.track([], [])
        prober.track([stage.config], await stage.runtime.containers.list())
        await asyncio.sleep(1)
        stage.config = dataclasses.replace(stage.config, health=health.HealthConfig(None, None, probe(period=9.0)))
        prober.track([stage.config], await stage.runtime.containers.list())
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before
    (context,) = reported
    assert (context["message"].split()[0], str(context["exception"])) == ("liveness", "a fault of ours")
    assert context["message"].endswith(" has failed")


async def test_result__tells_the_containers_name_and_how_long_it_took(stage) -> None:
    stage.world.delay("containers.exec", 0.25)
    await stage.runs(liveness=probe())
    await asyncio.sleep(0.5)
    (result,) = stage.results
    assert (result.container, result.probe, round(result.duration, 3)) == ("web", "liveness", 0.25)


@pytest.mark.parametrize("kind", ["startup", "readiness", "liveness"])
async def test_track__container_ends_while_it_is_asked__the_check_is_given_up(stage, kind: str) -> None:
    stage.world.delay("containers.exec", 100.0)
    before = asyncio.all_tasks()
    await stage.runs(**{kind: probe(timeout=1000.0)})
    await asyncio.sleep(0.2)
    assert len(asyncio.all_tasks() - before) == 1
    stage.prober.track([stage.config], [])
    await asyncio.sleep(0.2)
    assert asyncio.all_tasks() == before


async def test_track__without_probes__there_is_nothing_to_say_of_it(stage) -> None:
    await stage.runs()
    await asyncio.sleep(1)
    assert (stage.prober.health(), stage.results) == ((), [])


@pytest.mark.parametrize("scheme", ["http", "tcp"])
async def test_address__in_a_network__is_the_first_and_asked_for_real(stage, serving, scheme: str) -> None:
    async with serving(b"HTTP/1.1 503 No\r\n\r\n") as server:
        action = server.probe() if scheme == "http" else health.TcpProbe(server.port)
        await stage.runs(readiness=probe(action))
        addresses = (("shop", "127.0.0.1"), ("lan", "192.0.2.1"))
        observed = dataclasses.replace((await stage.runtime.containers.list())[0], addresses=addresses)
        features = dataclasses.replace(stage.runtime.features, is_simulated=False)
        real = dataclasses.replace(stage.runtime, features=features)
        results: list[probes.ProbeResult] = []
        async with probes.Prober(real, virtual.LoopClock(), lambda: None, results.append) as prober:
            prober.track([stage.config], [observed])
            while not results:  # noqa: ASYNC110 - its answer comes over a real socket
                await asyncio.sleep(0.01)
        expected = checks.ProbeOutcome.FAILURE if scheme == "http" else checks.ProbeOutcome.SUCCESS
        assert results[0].outcome is expected


async def test_address__in_no_network__is_a_failure(stage) -> None:
    await stage.runs(readiness=probe(health.TcpProbe(80)))
    observed = dataclasses.replace((await stage.runtime.containers.list())[0], addresses=())
    stage.prober.track([stage.config], [observed])
    await asyncio.sleep(0.5)
    assert stage.results[-1].outcome is checks.ProbeOutcome.FAILURE


async def test_initial_delay__nobody_knows_since_when_it_runs__is_over(stage) -> None:
    await stage.runs()
    stage.config = dataclasses.replace(stage.config, health=health.HealthConfig(None, None, probe(initial_delay=30)))
    observed = dataclasses.replace((await stage.runtime.containers.list())[0], started_at=None)
    stage.prober.track([stage.config], [observed])
    await asyncio.sleep(0.5)
    assert stage.moments == [0.0]
