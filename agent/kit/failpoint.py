"""Named places where a test lets the program die or fail, to prove that it can.

A module registers its points where it is imported and hits them where it matters::

    _COMMIT = failpoint.register("content.commit")
    ...
    _COMMIT.hit()

``TRIMTAB_FAILPOINTS="content.commit=kill,network.attach=error@3"`` arms them: ``kill`` ends the process by SIGKILL,
``error`` raises ``FailpointError``; ``@3`` means at the third hit. Unarmed points cost one attribute look-up.
"""

import dataclasses
import os
import signal

VARIABLE = "TRIMTAB_FAILPOINTS"


class FailpointError(Exception):
    """An injected failure."""


@dataclasses.dataclass(slots=True)
class Failpoint:
    """One place."""

    name: str
    action: str = ""
    countdown: int = 0

    def hit(self) -> None:
        """Pass here: nothing happens unless the point is armed and its turn has come."""
        if not self.action:
            return
        self.countdown -= 1
        if self.countdown > 0:
            return
        action, self.action = self.action, ""
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise FailpointError(f"injected failure at {self.name}")


_registered: dict[str, Failpoint] = {}


def register(name: str) -> Failpoint:
    """Name a place; armed at once where the environment says so."""
    point = _registered.setdefault(name, Failpoint(name))
    arming = _parse(os.environ.get(VARIABLE, "")).get(name)
    if arming is not None:
        point.action, point.countdown = arming
    return point


def registered() -> tuple[str, ...]:
    """Return the names of all points of the modules imported so far, sorted."""
    return tuple(sorted(_registered))


def arm(name: str, action: str, hit: int = 1) -> None:
    """Arm a registered point in this process. Raises ``KeyError`` for an unknown one."""
    point = _registered[name]
    point.action, point.countdown = action, hit


def _parse(text: str) -> dict[str, tuple[str, int]]:
    armed: dict[str, tuple[str, int]] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = item.partition("=")
        action, _, hit = action.partition("@")
        if action not in {"kill", "error"}:
            raise ValueError(f"{VARIABLE}: {item!r}: the action is kill or error")
        armed[name] = (action, int(hit or 1))
    return armed
