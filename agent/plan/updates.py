"""Images that follow their registry: what it has that is newer, and what waits for its answer."""

from agent.model import image, ledger
from agent.model.key import Kind, ObjectKey
from agent.oci import reference
from agent.plan import actions, match, plan
from agent.reasons import Reason

_GENTLE = frozenset({Reason.UPDATED, Reason.UNVERIFIED})


def newest(world: match.World, desired: image.ImageConfig) -> ledger.LatestImage | None:
    """Give what the registry has answered to the question that is asked now; ``None``: nothing yet."""
    follow = world.follows.get(desired.name)
    entry = world.memory.get(ObjectKey(Kind.IMAGE, desired.name))
    if follow is None or follow.policy is image.PullPolicy.NEVER or entry is None or entry.newest is None:
        return None
    return entry.newest if entry.newest.question == follow.question and entry.newest.digest else None


def pinned(answer: ledger.LatestImage) -> str:
    """Give exactly that as a reference."""
    parsed = reference.parse(answer.reference)
    return str(reference.Reference(parsed.registry, parsed.repository, parsed.tag, answer.digest))


def unverified(observed: image.ObservedImage) -> actions.Cause | None:
    """Tell why an image may not be used until it is fetched again, if so: it may well turn out to be what it was."""
    if observed.verified:
        return None
    return actions.Cause(Reason.UNVERIFIED, "it must be signed, which is not verified", ("signature",))


def damaged(observed: image.ObservedImage) -> actions.Cause | None:
    """Tell why an image that is recorded is to be brought in again, if so: it is the same one then."""
    if observed.available:
        return None
    return actions.Cause(Reason.DRIFTED, "its layers are not on the disk any more")


def cause(observed: image.ObservedImage, answer: ledger.LatestImage | None) -> actions.Cause | None:
    """Tell why an image that is there as declared is to be fetched again, if so."""
    if answer is None or answer.digest in observed.digests:
        return None
    before = observed.digests[0] if observed.digests else "an unknown one"
    return actions.Cause(Reason.UPDATED, f"{answer.reference}: {before} -> {answer.digest}", ("source",))


def is_gentle(desired: image.ImageConfig, observed: image.ObservedImage, why: actions.Cause) -> bool:
    """Tell whether it is not known that another image comes: containers are replaced once it has, and not before.

    A build may fail, and may give what it gave before.
    """
    is_built = isinstance(desired.source, image.BuildSource)
    return is_built or why.reason in _GENTLE or why == damaged(observed)


def refusal(world: match.World, desired: image.ImageConfig, answer: ledger.LatestImage | None) -> plan.Blocked | None:
    """Tell why an image that is not there is not fetched now, if so."""
    key, follow = ObjectKey(Kind.IMAGE, desired.name), world.follows.get(desired.name)
    if follow is None:
        return None
    if follow.policy is image.PullPolicy.NEVER:
        return plan.Blocked(
            key, Reason.IMAGE_NEVER_PULLED, f"{desired.reference} is not there, and its policy is Never: load it"
        )
    if not follow.track or answer is not None:
        return None
    entry = world.memory.get(key)
    problem = entry.newest.problem if entry is not None and entry.newest is not None else ""
    message = problem or "its registry has not been asked yet"
    return plan.Blocked(key, Reason.IMAGE_UNRESOLVED, f"the newest version in {follow.track!r} is not known: {message}")
