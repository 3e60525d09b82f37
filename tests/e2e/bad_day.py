"""A small street on a bad day: ``bad`` suffers, ``waiting`` depends on it, ``good`` has nothing to do with either."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e import command

SLEEP = "command: [sleep, '600']"
_GOOD, _BAD, _WAITING = "Container/good", "Container/bad", "Container/waiting"
_EAGER = "1s"
"""What no event tells is found by looking at everything; waiting a minute for that would prove nothing more."""
_IMAGE = """apiVersion: trimtab.dev/v1
kind: Image
metadata: {{name: quickstart}}
spec: {{archive: {{path: {path}}}}}
"""
_CONTAINER = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {{name: {name}}}
spec: {{stop: {{gracePeriod: 0s}}, {spec}}}
"""


@dataclasses.dataclass(frozen=True)
class BadDay:
    """A running agent over the street."""

    trimtab: command.Trimtab
    agent: command.Agent
    folder: pathlib.Path

    def declare(self, spec: str, *, image: str = "{name: quickstart}") -> None:
        """Declare ``bad`` with this spec."""
        _write(self.folder / "bad.yaml", _CONTAINER.format(name="bad", spec=f"image: {image}, {spec}"))

    def container(self, name: str) -> Mapping[str, Any]:
        """Return a container as it is observed now."""
        containers = self.trimtab.output("observe")["observed"]["containers"]
        return next(container for container in containers if container["name"] == name)

    def pid(self, name: str) -> int:
        """Return the first process of a container that runs."""
        return int(self.container(name)["pid"])

    def suffers(self, reason: str, key: str = _BAD) -> str:
        """Wait until an object is not ready for this reason, in the metrics and in the status; gives what is said.

        Whatever depends on it must wait then, and whatever does not must be ready.
        """
        self.agent.assert_shows(f'trimtab_object_ready_reason{{{_labels(key)},reason="{reason}"}}', 1.0)
        self.agent.assert_shows(f'trimtab_object_condition{{{_labels(key)},status="False",type="Ready"}}', 1.0)
        readiness: dict[str, Any] = {}

        def is_so() -> bool:
            readiness.update({name: object_status["Ready"] for name, object_status in self.trimtab.objects().items()})
            return _status_and_reason(readiness[key]) == ("False", reason)

        command.assert_eventually(is_so, f"{key} is not ready: {reason}")
        assert _status_and_reason(readiness[_WAITING]) == ("False", "WaitingForDependency")
        assert readiness[_GOOD]["status"] == "True"
        return str(readiness[key]["message"])

    def assert_recovers(self, *others: str) -> None:
        """Wait until all are ready, without anybody having done anything to the agent."""
        for key in (_BAD, _WAITING, _GOOD, *others):
            self.agent.assert_shows(f'trimtab_object_condition{{{_labels(key)},status="True",type="Ready"}}', 1.0)
        objects = self.trimtab.objects()
        assert [key for key in (_BAD, _WAITING, _GOOD, *others) if objects[key]["Ready"]["status"] != "True"] == []


@contextlib.contextmanager
def begun(
    trimtab: command.Trimtab, image: pathlib.Path, bad: str, *, of: str = "{name: quickstart}", relist: str = _EAGER
) -> Iterator[BadDay]:
    """Begin a day: the agent runs, ``good`` is ready and goes on in one run to the end, whatever becomes of ``bad``."""
    folder = trimtab.home / "manifests"
    _write(folder / "image.yaml", _IMAGE.format(path=image))
    _write(folder / "good.yaml", _CONTAINER.format(name="good", spec=f"image: {{name: quickstart}}, {SLEEP}"))
    depends = "dependsOn: [{container: bad, condition: Healthy}]"
    spec = f"image: {{name: quickstart}}, {SLEEP}, {depends}"
    _write(folder / "waiting.yaml", _CONTAINER.format(name="waiting", spec=spec))
    with trimtab.running(folder, environment={"TRIMTAB_CONVERGE_RELIST": relist}) as agent:
        day = BadDay(trimtab, agent, folder)
        day.declare(bad, image=of)
        agent.assert_ready()
        agent.assert_shows('trimtab_object_condition{kind="Container",name="good",status="True",type="Ready"}', 1.0)
        pid = day.pid("good")
        yield day
        assert day.pid("good") == pid
        agent.assert_shows("trimtab_internal_errors_total", 0.0)


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file as editors do: never half of it."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.rename(path)


def _labels(key: str) -> str:
    kind, _, name = key.partition("/")
    return f'kind="{kind}",name="{name}"'


def _status_and_reason(condition: Mapping[str, str]) -> tuple[str, str]:
    return condition["status"], condition["reason"]
