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
        """Let ``bad`` be so."""
        _write(self.folder / "bad.yaml", _CONTAINER.format(name="bad", spec=f"image: {image}, {spec}"))

    def container(self, name: str) -> Mapping[str, Any]:
        """Give a container as it is observed now."""
        containers = self.trimtab.output("observe")["observed"]["containers"]
        return next(one for one in containers if one["name"] == name)

    def pid(self, name: str) -> int:
        """Give the first process of a container that runs."""
        return int(self.container(name)["pid"])

    def suffers(self, reason: str, key: str = _BAD) -> str:
        """Wait until an object is not ready for this reason, in the metrics and in the status; gives what is said.

        Whatever depends on it must wait then, and whatever does not must be ready.
        """
        self.agent.shows(f'trimtab_object_ready_reason{{{_labels(key)},reason="{reason}"}}', 1.0)
        self.agent.shows(f'trimtab_object_condition{{{_labels(key)},status="False",type="Ready"}}', 1.0)
        seen: dict[str, Any] = {}

        def is_so() -> bool:
            seen.update({name: one["Ready"] for name, one in self.trimtab.objects().items()})
            return _said(seen[key]) == ("False", reason)

        command.eventually(is_so, f"{key} is not ready: {reason}")
        assert _said(seen[_WAITING]) == ("False", "WaitingForDependency")
        assert seen[_GOOD]["status"] == "True"
        return str(seen[key]["message"])

    def recovers(self, *others: str) -> None:
        """Wait until all are ready, without anybody having done anything to the agent."""
        for key in (_BAD, _WAITING, _GOOD, *others):
            self.agent.shows(f'trimtab_object_condition{{{_labels(key)},status="True",type="Ready"}}', 1.0)
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
        agent.is_ready()
        agent.shows('trimtab_object_condition{kind="Container",name="good",status="True",type="Ready"}', 1.0)
        pid = day.pid("good")
        yield day
        assert day.pid("good") == pid
        agent.shows("trimtab_internal_errors_total", 0.0)


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file as editors do: never half of it."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.rename(path)


def _labels(key: str) -> str:
    kind, _, name = key.partition("/")
    return f'kind="{kind}",name="{name}"'


def _said(condition: Mapping[str, str]) -> tuple[str, str]:
    return condition["status"], condition["reason"]
