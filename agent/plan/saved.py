"""A plan that is kept in a file, so that what was shown is applied, or refused with what has changed since. Pure.

The file has fingerprints of what was declared and observed, and what the plan does to which object: no value of an
environment, no command and no login. Fingerprints are salted, so that those of two files say nothing of each other.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from agent.kit import canonical, counts, frozen
from agent.model import kinds, state
from agent.model.key import ObjectKey, ownership_of
from agent.plan import plan, render

Json = dict[str, Any]
FORMAT = 1
"""The number of the file's format: a release that reads more has a higher one."""
_LATEST = 2.0**40
"""Seconds since the epoch: what is later is no date that can be printed."""
MAGIC = b'{"trimtab.dev/plan":'
"""How every such file begins."""
_VOLATILE = frozenset({"pid", "started_at", "finished_at", "addresses", "available", "size"})
"""Fields of observed objects that no plan depends on, or that change by themselves."""


class InvalidPlan(ValueError):
    """A file that is no plan, or a damaged one."""


class NewerPlan(ValueError):
    """A plan that a newer release has written."""


@frozen.value
class Origin:
    """Where a plan was made, and of what."""

    release: str
    source: str
    """As it was typed, absolute; free of credentials."""
    owner: str
    """The instance."""
    runtime: str
    created_at: float
    """Seconds since the epoch."""


@frozen.value
class SavedPlan:
    """A plan, and by what it is told whether everything is still as it was."""

    origin: Origin
    salt: str
    document: Json
    """What the plan does, in the words of ``plan --output json``."""
    steps: tuple[str, ...]
    """Fingerprints of the steps, in their order."""
    desired: dict[str, str]
    """Fingerprints of what was declared, by object."""
    observed: dict[str, str]
    """Fingerprints of what was there, by object."""

    @property
    def revision(self) -> str:
        """Return the revision of the source."""
        return str(self.document["revision"])


def of(
    origin: Origin, salt: str, desired: state.DesiredState, observed: state.ObservedState, computed: plan.Plan
) -> SavedPlan:
    """Return what is kept of a plan, and of the two states that it was made from."""
    involved = {key for key, _ in computed.buckets}
    items: dict[str, list[Json]] = {}
    for item in observed.objects.all():
        key = _key(item)
        if key in involved:
            fields = {name: value for name, value in canonical.plain(item).items() if name not in _VOLATILE}
            items.setdefault(str(key), []).append(fields)
    return SavedPlan(
        origin,
        salt,
        _document(computed),
        tuple(_fingerprint(salt, [type(step.action).__name__, step.action, step.after]) for step in computed.steps),
        {str(state.key_of(config)): _fingerprint(salt, config) for config in desired},
        {name: _fingerprint(salt, fields) for name, fields in sorted(items.items())},
    )


def differences(saved: SavedPlan, current: SavedPlan) -> tuple[str, ...]:
    """Return what has changed since a plan was saved, a line each; ``current`` has the same salt."""
    return tuple(_differences(saved, current))


def text(saved: SavedPlan) -> str:
    """Return the text of the file."""
    fields = {
        "trimtab.dev/plan": FORMAT,
        **{_camel(name): value for name, value in dataclasses.asdict(saved.origin).items()},
        "salt": saved.salt,
        "steps": list(saved.steps),
        "desired": saved.desired,
        "observed": saved.observed,
        "plan": saved.document,
    }
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")) + "\n"


def parse(data: bytes) -> SavedPlan:
    """Return the plan of a file. Raises ``InvalidPlan``, and ``NewerPlan`` for one of a newer release."""
    try:
        fields = json.loads(data)
        _check_format(fields)
        origin = Origin(
            release=_typed(fields["release"], str),
            source=_typed(fields["source"], str),
            owner=_typed(fields["owner"], str),
            runtime=_typed(fields["runtime"], str),
            created_at=_moment(fields["createdAt"]),
        )
        document = _typed(fields["plan"], dict)
        _typed(document["revision"], str)
        _typed(document["steps"], list)
        _texts(document["buckets"])
        return SavedPlan(
            origin,
            _typed(fields["salt"], str),
            document,
            tuple(_typed(item, str) for item in _typed(fields["steps"], list)),
            _texts(fields["desired"]),
            _texts(fields["observed"]),
        )
    except NewerPlan:
        raise
    except KeyError as error:
        raise InvalidPlan(f"it has no {error.args[0]}") from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidPlan(str(error)) from error


def _document(computed: plan.Plan) -> Json:
    """Return what a plan does, without messages: they may have the values that differ, and those may be secrets."""
    printed = render.document(computed)
    names = ("id", "action", "object", "reason", "fields", "after")
    return {
        "revision": computed.revision,
        "steps": [{name: step[name] for name in names} for step in printed["steps"]],
        "blocked": [{"object": wait["object"], "reason": str(wait["reason"])} for wait in printed["blocked"]],
        "buckets": printed["buckets"],
    }


def _check_format(fields: object) -> None:
    number = _typed(_typed(fields, dict)["trimtab.dev/plan"], int)
    if number > FORMAT:
        raise NewerPlan(f"it has format {number}, and this release reads formats up to {FORMAT}")
    if number < 1:
        raise InvalidPlan(f"{number} is no format")


def _typed(value: Any, kind: Any) -> Any:  # noqa: ANN401 - JSON's own shape
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidPlan("a value is of a wrong kind")
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair is no text that anybody could print
    return value


def _moment(value: object) -> float:
    moment = float(_typed(value, (int, float)))
    if not 0 <= moment < _LATEST:
        raise InvalidPlan("it was made at no moment that there is")
    return moment


def _texts(value: object) -> dict[str, str]:
    return {name: _typed(item, str) for name, item in _typed(value, dict).items()}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _key(item: kinds.Observed) -> ObjectKey:
    """Return the object that something is: by its labels where it is ours, otherwise by its name."""
    ownership = ownership_of(item.labels)
    if ownership is not None:
        return ownership.key
    kind = kinds.kind_of(item)
    return ObjectKey(kind, str(getattr(item, kinds.KINDS[kind].identity)))


def _fingerprint(salt: str, value: object) -> str:
    return hashlib.blake2b(canonical.dumps(value), digest_size=16, key=salt.encode()[:64]).hexdigest()


def _differences(saved: SavedPlan, current: SavedPlan) -> Iterator[str]:
    for name, kept, present in (
        ("instance", saved.origin.owner, current.origin.owner),
        ("runtime", saved.origin.runtime, current.origin.runtime),
        ("release of trimtab", saved.origin.release, current.origin.release),
        ("revision of the source", saved.revision, current.revision),
    ):
        if kept != present:
            yield f"the {name} was {kept}, and is {present}"
    yield from _changes(saved.desired, current.desired, "declared")
    yield from _changes(saved.observed, current.observed, "there", _buckets(saved, current))
    if saved.steps != current.steps:
        before, now = counts.counted(len(saved.steps), "step"), counts.counted(len(current.steps), "other")
        yield f"the plan had {before}, and has {now} now"


def _changes(
    before: dict[str, str], after: dict[str, str], word: str, details: dict[str, str] | None = None
) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{name} is not {word} any more"
        elif name not in before:
            yield f"{name} was not {word}"
        elif before[name] != after[name]:
            yield f"{name} is {word} otherwise than it was" + (details or {}).get(name, "")


def _buckets(saved: SavedPlan, current: SavedPlan) -> dict[str, str]:
    """Return how the state of objects has changed, in a few words."""
    before, after = saved.document["buckets"], current.document["buckets"]
    return {
        name: f" (it was {before[name]}, and is {after[name]})"
        for name in after
        if name in before and before[name] != after[name]
    }
