"""Probe results to health, counted as kubelet does."""

from agent.model import health
from agent.observe import thresholds


def probe(successes: int = 1, failures: int = 3) -> health.Probe:
    return health.Probe(health.TcpProbe(80), 0.0, 10.0, 1.0, successes, failures)


def config(**probes: health.Probe) -> health.HealthConfig:
    return health.HealthConfig(**{"startup": None, "readiness": None, "liveness": None, **probes})


def fed(state: thresholds.ProbeState, *results: tuple[thresholds.Kind, str]) -> thresholds.ProbeState:
    """Feed results: empty words are a success; the time is their number."""
    for now, (kind, message) in enumerate(results, start=1):
        state = state.after(kind, success=not message, message=message, now=float(now))
    return state


def test_begin__no_startup_and_no_readiness__is_ready_at_once() -> None:
    state = thresholds.begin(config(liveness=probe()))
    assert (state.started, state.ready, state.alive, state.active()) == (True, True, True, ("liveness",))


def test_startup__until_it_succeeds__is_the_only_probe() -> None:
    state = thresholds.begin(config(startup=probe(), readiness=probe(), liveness=probe()))
    assert state.active() == ("startup",)
    assert fed(state, ("liveness", "refused")) == state
    started = fed(state, ("startup", "refused"), ("startup", ""))
    assert (started.started, started.ready, started.active()) == (True, False, ("readiness", "liveness"))


def test_startup__succeeds_without_a_readiness_probe__is_ready() -> None:
    assert fed(thresholds.begin(config(startup=probe())), ("startup", "")).ready


def test_startup__fails_for_good__is_dead_since_then() -> None:
    state = fed(thresholds.begin(config(startup=probe(failures=2))), ("startup", "a"), ("startup", "b"))
    assert thresholds.observed("id", state) == health.ObservedHealth("id", False, False, False, "startup: b", 2.0)


def test_readiness__thresholds__count_results_in_a_row() -> None:
    state = thresholds.begin(config(readiness=probe(successes=2, failures=2)))
    assert not fed(state, ("readiness", ""), ("readiness", "no"), ("readiness", "")).ready
    ready = fed(state, ("readiness", ""), ("readiness", ""))
    assert ready.ready
    assert fed(ready, ("readiness", "no")).ready
    assert not fed(ready, ("readiness", "no"), ("readiness", "no")).ready


def test_readiness__fails_while_liveness_succeeds__goes_on_saying_why() -> None:
    state = thresholds.begin(config(readiness=probe(), liveness=probe()))
    failing = fed(state, ("readiness", "refused"), ("liveness", ""))
    assert failing.message == "readiness: refused"
    assert fed(failing, ("readiness", "")).message == ""


def test_liveness__fails_for_good__stays_dead_whatever_comes_and_is_told_first() -> None:
    state = thresholds.begin(config(readiness=probe(), liveness=probe(failures=1)))
    dead = fed(state, ("readiness", "slow"), ("liveness", "no answer"), ("liveness", "no answer"))
    assert (dead.alive, dead.ready, dead.failed_at, dead.message) == (False, False, 2.0, "liveness: no answer")
    assert not fed(dead, ("liveness", "")).alive


def test_result__of_a_probe_that_is_not_declared__changes_nothing() -> None:
    state = thresholds.begin(config(liveness=probe()))
    assert fed(state, ("readiness", "no")) == state


def test_health__of_all_that_can_be_observed__is_one_word() -> None:
    def summed(*, started: bool, ready: bool, alive: bool, message: str = "") -> str:
        return health.ObservedHealth("id", started, ready, alive, message, None).health.value

    assert summed(started=True, ready=True, alive=True) == "healthy"
    assert summed(started=False, ready=False, alive=True, message="startup: refused") == "starting"
    assert summed(started=True, ready=False, alive=True) == "starting"
    assert summed(started=True, ready=False, alive=True, message="readiness: refused") == "unready"
    assert summed(started=True, ready=False, alive=False, message="liveness: refused") == "unhealthy"


ONE = health.Probe(health.TcpProbe(80), 0.0, 1.0, 1.0, 1, 1)


def after(state: thresholds.ProbeState, *results: tuple[thresholds.Kind, bool, float]) -> thresholds.ProbeState:
    """Return the state after some results."""
    for kind, success, now in results:
        state = state.after(kind, success=success, message="" if success else "no", now=now)
    return state


def test_active__dead_and_without_a_readiness_probe__is_nothing() -> None:
    dead = after(thresholds.begin(health.HealthConfig(None, None, ONE)), ("liveness", False, 1.0))
    assert (dead.alive, dead.active()) == (False, ())


def test_liveness__succeeds__says_nothing_of_being_ready() -> None:
    state = after(
        thresholds.begin(health.HealthConfig(None, ONE, ONE)), ("readiness", False, 1.0), ("liveness", True, 2.0)
    )
    assert (state.ready, state.alive) == (False, True)


def test_liveness__fails_for_good__is_not_ready_and_its_moment_is_the_first() -> None:
    begun = after(thresholds.begin(health.HealthConfig(None, ONE, ONE)), ("readiness", True, 1.0))
    dead = after(begun, ("liveness", False, 2.0), ("liveness", False, 3.0))
    assert (begun.ready, dead.ready, dead.failed_at) == (True, False, 2.0)


def test_streak__of_nothing_yet__says_nothing() -> None:
    assert thresholds.Streak() == thresholds.Streak(0, 0, "")
