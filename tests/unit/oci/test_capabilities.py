"""Capabilities of a container, whatever engine it runs in."""

import pytest

from agent import errors
from agent.oci import capabilities


@pytest.mark.parametrize(
    ("added", "dropped", "expected"),
    [
        ((), (), capabilities.DEFAULT),
        ((), ("ALL",), ()),
        (("NET_ADMIN",), ("ALL",), ("NET_ADMIN",)),
        (("ALL",), ("KILL",), ("CHOWN", "SYS_ADMIN")),
        (("ALL",), ("ALL",), ()),
    ],
)
def test_effective__is_the_default_less_what_is_dropped_with_what_is_added(
    added: tuple[str, ...], dropped: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert capabilities.effective(added, dropped, ("SYS_ADMIN", "KILL", "CHOWN")) == tuple(sorted(expected))


@pytest.mark.parametrize(("added", "dropped"), [(("FLY",), ()), ((), ("FLY",))])
def test_effective__one_that_does_not_exist__is_refused(added: tuple[str, ...], dropped: tuple[str, ...]) -> None:
    with pytest.raises(errors.InvalidArgument, match="there is no capability FLY"):
        capabilities.effective(added, dropped, ())


def test_of_mask__each_bit__is_the_capability_of_that_number() -> None:
    assert capabilities.of_mask(1 << 0 | 1 << 21 | 1 << 40) == {"CHOWN", "SYS_ADMIN", "CHECKPOINT_RESTORE"}
