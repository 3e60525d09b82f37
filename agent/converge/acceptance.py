"""Whether what was read may stand yet: nothing is removed because it was missing for a moment. Pure.

A source that declares an object no longer, and is no commit but a directory in which somebody may be in the middle of
something (a file is replaced, moved, written step by step), is believed once it has said the same for a while and at
least twice. What only adds and changes is believed at once. Where the file that declared something was changed in
place, and not replaced, a program may be writing it anew that closes it between its steps: that has to rest for longer.
"""

from collections.abc import Iterator, Mapping

from agent.kit import frozen
from agent.manifests.lowering import networks
from agent.model import state as states
from agent.model import volume

CERTAIN_AFTER = 1.0
"""Seconds for which a source has to say the same, if by that something would be removed: longer than any program takes
from removing a file to writing it anew, and short enough that what is really gone is gone within two seconds."""
SHORTENED_AFTER = 10.0
"""Seconds after which a file that was changed in place is believed: longer than scripts take between two steps."""
DATA_AFTER = 60.0
"""The same where data would be removed with its volume, which nothing brings back."""
NOT_RESTING_AFTER = 75.0
"""Seconds after which somebody who acts once gives up on a source that goes on changing: more than any rest."""
LONGEST_CHANGE = 60.0
"""Seconds after which a removal is believed although files of the source never come to rest."""


@frozen.value
class Proposal:
    """What a source declares now."""

    state: str
    """Names the source's content, and what its directories have been through."""
    names: frozenset[str]
    """All that is declared, by ``names_of``."""
    settled: bool
    """No file of it is being written."""
    atomic: bool
    """All of it was made at once: a commit."""
    shortened: float | None = None
    """Seconds since a file that may lack what is missing only for now was last changed; ``None``: none may."""
    data: frozenset[str] = frozenset()
    """Those of what stands whose removal removes data."""


@frozen.value
class Decision:
    """What is to be done with a proposal."""

    missing: frozenset[str] = frozenset()
    """What it would remove and is not believed for yet; empty: the proposal may stand."""
    next_look_at: float | None = None
    """When the source has to be read again, by the time that was given."""


_ACCEPTED = Decision()
_FORGOTTEN = frozenset({"what was declared before the journal was damaged"})


class Acceptance:
    """The proposals of one source, one after another."""

    def __init__(self, longest_change: float = LONGEST_CHANGE) -> None:
        """Begin with no proposal. ``longest_change`` in seconds."""
        self._longest_change = longest_change
        self._missing: dict[str, float] = {}
        """Since when each is missing."""
        self._resting: dict[str, float] = {}
        """Since when the source is in the state that it was in at the last look; empty where that did not rest."""

    def judge(self, standing: frozenset[str], proposal: Proposal, now: float) -> Decision:
        """Say whether a proposal may take the place of what stands. ``now`` never goes back."""
        missing = standing - proposal.names
        if not missing or proposal.atomic:
            self.forget()
            return _ACCEPTED
        self._missing = {name: self._missing.get(name, now) for name in missing}
        since = self._resting.get(proposal.state, now) if proposal.settled else now
        self._resting = {proposal.state: since} if proposal.settled else {}
        certain_at, longest = since + CERTAIN_AFTER, self._longest_change
        if proposal.shortened is not None:
            delay = DATA_AFTER if missing & proposal.data else SHORTENED_AFTER
            certain_at, longest = max(certain_at, now + delay - proposal.shortened), longest + delay
        if now >= certain_at or now - max(self._missing.values()) >= longest:
            self.forget()
            return _ACCEPTED
        return Decision(missing, certain_at)

    def forget(self) -> None:
        """Forget all proposals: the source could not be read, or says what stands."""
        self._missing, self._resting = {}, {}


@frozen.value
class Standing:
    """What would be missed."""

    names: frozenset[str]
    """All that is declared so far, by ``names_of``."""
    data: frozenset[str]
    """Those of them whose removal removes data."""


def shortened(
    missing: frozenset[str], declared_in: Mapping[str, str], changed_in_place: Mapping[str, float]
) -> float | None:
    """Return the seconds since a file that declared something of ``missing`` was last changed in place.

    ``declared_in``: the file of each object, by ``names_of``. What is in none (a login, a value) may be in any.
    """
    if not declared_in.keys() >= missing:
        return min(changed_in_place.values(), default=None)
    paths = {declared_in[name] for name in missing}
    return min((changed_in_place[path] for path in paths & changed_in_place.keys()), default=None)


def standing_of(desired: states.DesiredState, *, is_forgotten: bool) -> Standing:
    """Return what would be missed of a state; ``is_forgotten``: it was another one, of which nothing is known.

    Then anything may be missing: it is missed until the source has rested.
    """
    if is_forgotten:
        return Standing(_FORGOTTEN, frozenset())
    return Standing(names_of(desired), data_of(desired))


def names_of(desired: states.DesiredState) -> frozenset[str]:
    """Return what would be missed of a state: all but what it only has because something else names it."""
    return frozenset(_names(desired))


def data_of(desired: states.DesiredState) -> frozenset[str]:
    """Return the names of volumes whose data is removed with them."""
    doomed = (config for config in desired.volumes if config.deletion_policy is volume.DeletionPolicy.DELETE)
    return frozenset(f"Volume/{config.name}" for config in doomed)


def _names(desired: states.DesiredState) -> Iterator[str]:
    for image in desired.images:
        if image.name != image.reference:
            yield f"Image/{image.name}"
    for network in desired.networks:
        if network.name != networks.DEFAULT.name:
            yield f"Network/{network.name}"
    for config in desired.volumes:
        yield f"Volume/{config.name}"
    for container in desired.containers:
        yield f"Container/{container.name}"
    for login in desired.logins:
        yield f"the login of {login.secret} at {login.place}"
    for value in desired.secrets:
        yield f"{value.key} of Secret/{value.secret}"
