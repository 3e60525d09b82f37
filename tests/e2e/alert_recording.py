"""Real days on record: what an agent's ``/metrics`` say while something goes wrong, for Prometheus' rules to judge.

A day is recorded fast and judged slowly: the agent is scraped three times a second, and each scrape counts as one
minute of the rules' time (``STEP``). So that this is the same day, moments (``*_timestamp_seconds``) and ages
(``*_age_seconds``) are stretched alike: a moment between two scrapes comes to lie between the minutes of these scrapes.
All other values are as they were scraped. ``up`` is what Prometheus itself would note: whether the scrape succeeded.
"""

import bisect
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import parser

from tests import instances
from tests.e2e import command

INTERVAL = 0.3
"""Seconds between two scrapes. Shorter, and a busy machine's slow second would be many minutes of the rules' time."""
STEP = 60.0
"""Seconds of the rules' time that a scrape counts for."""
RULES = instances.REPOSITORY / "ops" / "prometheus" / "trimtab.rules.yml"
_TARGET = (("instance", "host"), ("job", "trimtab"))
_FOREVER = "24h"

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A name and its labels, sorted."""


@dataclasses.dataclass(frozen=True)
class Scrape:
    """One look at ``/metrics``; without samples where the agent did not answer."""

    at: float
    samples: Mapping[Series, float]


class Recording:
    """A day of one agent."""

    def __init__(self, agent: command.Agent) -> None:
        """Start an empty recording; the agent must serve ``/metrics`` already."""
        self._agent = agent
        self._scrapes: list[Scrape] = []

    def __len__(self) -> int:
        """Return how many minutes are on record."""
        return len(self._scrapes)

    def record(self, minutes: int) -> int:
        """Record so many minutes, as they go by; return the last one's number."""
        for _ in range(minutes):
            began = time.monotonic()
            self._scrapes.append(self._scrape())
            time.sleep(max(0.0, INTERVAL - (time.monotonic() - began)))
        return len(self._scrapes) - 1

    def record_until(self, condition: Callable[[], object], what: str) -> int:
        """Record until something is so."""
        deadline = time.monotonic() + command.PATIENCE * 2
        while not condition():
            assert time.monotonic() < deadline, f"not within {command.PATIENCE * 2:g} s: {what}"
            self.record(1)
        return len(self._scrapes) - 1

    def value(self, name: str, /, **labels: str) -> float:
        """Return the last value of a series on record; 0 where there is none."""
        series_key = (name, tuple(sorted((*_TARGET, *labels.items()))))
        return self._scrapes[-1].samples.get(series_key, 0.0)

    def _scrape(self) -> Scrape:
        at = time.time()
        try:
            status, text = self._agent.get("/metrics")
        except (OSError, urllib.error.URLError):
            return Scrape(at, {("up", _TARGET): 0.0})
        assert status == 200
        samples = {
            (sample.name, tuple(sorted((*_TARGET, *sample.labels.items())))): sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        }
        return Scrape(at, samples | {("up", _TARGET): 1.0})

    def series(self) -> Iterator[dict[str, str]]:
        """Return the input of ``promtool test rules``."""
        used = RULES.read_text()
        names = {series for scrape in self._scrapes for series in scrape.samples if series[0] in used}
        for name, labels in sorted(names):
            values = [self._value(scrape, (name, labels)) for scrape in self._scrapes]
            label_text = ",".join(f"{label}={json.dumps(value)}" for label, value in labels)
            yield {"series": f"{name}{{{label_text}}}", "values": " ".join(values)}

    def _value(self, scrape: Scrape, series: Series) -> str:
        value = scrape.samples.get(series)
        if value is None:
            return "stale"
        if series[0].endswith("_timestamp_seconds"):
            value = self._stretched(value)
        elif series[0].endswith("_age_seconds"):
            value = self._stretched(scrape.at) - self._stretched(scrape.at - value)
        return f"{value:.6f}"

    def _stretched(self, moment: float) -> float:
        """Return a moment in the rules' time, which begins with the first scrape."""
        moments = [scrape.at for scrape in self._scrapes]
        after = bisect.bisect_right(moments, moment)
        if after in {0, len(moments)}:
            at, minute = (moments[0], 0) if after == 0 else (moments[-1], len(moments) - 1)
            return (minute + (moment - at) / INTERVAL) * STEP
        before = after - 1
        return (before + (moment - moments[before]) / (moments[after] - moments[before])) * STEP


@dataclasses.dataclass(frozen=True)
class Judged:
    """A minute of a recording, with the alerts that must have fired by then."""

    minute: int
    fired: Sequence[str]
    """Every alert that has fired until then, as ``Alert`` or ``Alert{label="value",...}`` by ``by``."""
    about: str = ".*"
    """A pattern of the alerts that are asked for."""
    of: str = ".*"
    """A pattern of the ``name`` labels that are asked for."""


def assert_alerts(
    recording: Recording, folder: pathlib.Path, days: Sequence[Judged], *, by: Sequence[str] = ()
) -> None:
    """Run promtool over a recorded day with the real rules; assert that exactly the expected alerts fire.

    ``by`` names labels that tell alerts apart, beside ``alertname``.
    """
    labels = ", ".join(("alertname", *by))
    tests = [
        {
            "expr": f"group by ({labels}) (max_over_time({_firing(day)}[{_FOREVER}]))",
            "eval_time": f"{day.minute}m",
            "exp_samples": [{"labels": f"{{{_labels(alert)}}}", "value": 1} for alert in day.fired],
        }
        for day in days
    ]
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": list(recording.series()), "promql_expr_test": tests}],
    }
    path = folder / "recorded.tests.yml"
    path.write_text(json.dumps(document, indent=1))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _firing(day: Judged) -> str:
    return f'ALERTS{{alertstate="firing",alertname=~"{day.about}",name=~"{day.of}"}}'


def _labels(alert: str) -> str:
    name, _, more = alert.partition("{")
    return ",".join(filter(None, (f'alertname="{name}"', more.removesuffix("}"))))


@contextlib.contextmanager
def recorded(trimtab: command.Trimtab, source: object, **environment: str) -> Iterator[tuple[command.Agent, Recording]]:
    """Run an agent on record, in a hurry: it relists twice in a minute of the rules' time."""
    hurried = {"TRIMTAB_CONVERGE_RELIST": "100ms", "TRIMTAB_SOURCE_RESCAN": "100ms"}
    with trimtab.running(source, environment=hurried | environment) as agent:
        agent.says('"port"')
        agent.assert_ready()
        yield agent, Recording(agent)
