"""Images that follow their registry: what it has that is newer, and what waits for its answer."""

from agent.model import image, ledger
from agent.model.key import Kind, ObjectKey
from agent.oci import reference
from agent.plan import actions, match, plan

GENTLE = frozenset({actions.Reason.UPDATED, actions.Reason.UNVERIFIED})
"""Causes for which it is not known that another image comes: containers are replaced once it has."""
NEVER_PULLED = "ImageNeverPulled"
"""It has to be there, and is not."""
UNRESOLVED = "ImageUnresolved"
"""Nobody knows yet which version is wanted."""


def newest(world: match.World, wanted: image.ImageConfig) -> ledger.Newest | None:
    """Give what the registry has answered to the question that is asked now; ``None``: nothing yet."""
    follow = world.follows.get(wanted.name)
    entry = world.memory.get(ObjectKey(Kind.IMAGE, wanted.name))
    if follow is None or follow.policy is image.PullPolicy.NEVER or entry is None or entry.newest is None:
        return None
    return entry.newest if entry.newest.question == follow.question and entry.newest.digest else None


def pinned(answer: ledger.Newest) -> str:
    """Give exactly that as a reference."""
    known = reference.parse(answer.reference)
    return str(reference.Reference(known.registry, known.repository, known.tag, answer.digest))


def unverified(found: image.ObservedImage) -> actions.Cause | None:
    """Tell why an image may not be used until it is fetched again, if so: it may well turn out to be what it was."""
    if found.verified:
        return None
    return actions.Cause(actions.Reason.UNVERIFIED, "it must be signed, which is not verified", ("signature",))


def cause(found: image.ObservedImage, answer: ledger.Newest | None) -> actions.Cause | None:
    """Tell why an image that is there as declared is to be fetched again, if so."""
    if answer is None or answer.digest in found.digests:
        return None
    before = found.digests[0] if found.digests else "an unknown one"
    return actions.Cause(actions.Reason.UPDATED, f"{answer.reference}: {before} -> {answer.digest}", ("source",))


def refusal(world: match.World, wanted: image.ImageConfig, answer: ledger.Newest | None) -> plan.Blocked | None:
    """Tell why an image that is not there is not fetched now, if so."""
    key, follow = ObjectKey(Kind.IMAGE, wanted.name), world.follows.get(wanted.name)
    if follow is None:
        return None
    if follow.policy is image.PullPolicy.NEVER:
        return plan.Blocked(key, NEVER_PULLED, f"{wanted.reference} is not there, and its policy is Never: load it")
    if not follow.track or answer is not None:
        return None
    entry = world.memory.get(key)
    said = entry.newest.problem if entry is not None and entry.newest is not None else ""
    told = said or "its registry has not been asked yet"
    return plan.Blocked(key, UNRESOLVED, f"the newest version in {follow.track!r} is not known: {told}")
