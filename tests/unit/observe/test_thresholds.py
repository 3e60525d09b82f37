"""Probe results to health, counted as kubelet does."""

from agent.model import health
from agent.observe import thresholds


def probe(successes: int = 1, failures: int = 3) -> health.Probe:
    return health.Probe(health.TcpProbe(80), 0.0, 10.0, 1.0, successes, failures)


def config(**probes: health.Probe) -> health.HealthConfig:
    return health.HealthConfig(**{"startup": None, "readiness": None, "liveness": None, **probes})


def fed(run: thresholds.Run, *results: tuple[thresholds.Kind, str]) -> thresholds.Run:
    """Feed results: empty words are a success; the time is their number."""
    for now, (kind, said) in enumerate(results, start=1):
        run = run.after(kind, success=not said, message=said, now=float(now))
    return run


def test_begin__no_startup_and_no_readiness__is_ready_at_once() -> None:
    run = thresholds.begin(config(liveness=probe()))
    assert (run.started, run.ready, run.alive, run.active()) == (True, True, True, ("liveness",))


def test_startup__until_it_succeeds__is_the_only_probe() -> None:
    run = thresholds.begin(config(startup=probe(), readiness=probe(), liveness=probe()))
    assert run.active() == ("startup",)
    assert fed(run, ("liveness", "refused")) == run
    started = fed(run, ("startup", "refused"), ("startup", ""))
    assert (started.started, started.ready, started.active()) == (True, False, ("readiness", "liveness"))


def test_startup__succeeds_without_a_readiness_probe__is_ready() -> None:
    assert fed(thresholds.begin(config(startup=probe())), ("startup", "")).ready


def test_startup__fails_for_good__is_dead_since_then() -> None:
    run = fed(thresholds.begin(config(startup=probe(failures=2))), ("startup", "a"), ("startup", "b"))
    assert thresholds.observed("id", run) == health.ObservedHealth("id", False, False, False, "startup: b", 2.0)


def test_readiness__thresholds__count_results_in_a_row() -> None:
    run = thresholds.begin(config(readiness=probe(successes=2, failures=2)))
    assert not fed(run, ("readiness", ""), ("readiness", "no"), ("readiness", "")).ready
    ready = fed(run, ("readiness", ""), ("readiness", ""))
    assert ready.ready
    assert fed(ready, ("readiness", "no")).ready
    assert not fed(ready, ("readiness", "no"), ("readiness", "no")).ready


def test_readiness__fails_while_liveness_succeeds__goes_on_saying_why() -> None:
    run = thresholds.begin(config(readiness=probe(), liveness=probe()))
    failing = fed(run, ("readiness", "refused"), ("liveness", ""))
    assert failing.message == "readiness: refused"
    assert fed(failing, ("readiness", "")).message == ""


def test_liveness__fails_for_good__stays_dead_whatever_comes_and_is_told_first() -> None:
    run = thresholds.begin(config(readiness=probe(), liveness=probe(failures=1)))
    dead = fed(run, ("readiness", "slow"), ("liveness", "no answer"), ("liveness", "no answer"))
    assert (dead.alive, dead.ready, dead.failed_at, dead.message) == (False, False, 2.0, "liveness: no answer")
    assert not fed(dead, ("liveness", "")).alive


def test_result__of_a_probe_that_is_not_declared__changes_nothing() -> None:
    run = thresholds.begin(config(liveness=probe()))
    assert fed(run, ("readiness", "no")) == run


def test_health__of_all_that_can_be_observed__is_one_word() -> None:
    def summed(*, started: bool, ready: bool, alive: bool, message: str = "") -> str:
        return health.ObservedHealth("id", started, ready, alive, message, None).health.value

    assert summed(started=True, ready=True, alive=True) == "healthy"
    assert summed(started=False, ready=False, alive=True, message="startup: refused") == "starting"
    assert summed(started=True, ready=False, alive=True) == "starting"
    assert summed(started=True, ready=False, alive=True, message="readiness: refused") == "unready"
    assert summed(started=True, ready=False, alive=False, message="liveness: refused") == "unhealthy"
