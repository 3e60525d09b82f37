"""Platforms: operating system, architecture and variant, in Go's words as the image specification has them."""

import dataclasses
from collections.abc import Sequence

_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
}
_COMPATIBLE = {
    ("arm64", ""): ("", "v8"),
    ("arm64", "v8"): ("", "v8"),
    ("arm", ""): ("v7", "", "v6", "v5"),
    ("arm", "v7"): ("v7", "v6", "v5", ""),
    ("arm", "v6"): ("v6", "v5", ""),
}
"""Variants that a machine can run, the best first. Without one, ``arm64`` means v8 and ``arm`` v7, as everywhere."""


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Platform:
    """What an image is built for."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Give ``os/arch[/variant]``."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse(text: str) -> Platform:
    """Read ``os/arch[/variant]``. Raises ``ValueError``."""
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise ValueError(f"{text!r} is no platform: linux/amd64 or linux/arm/v7 is")
    return Platform(*parts)


def of_machine(machine: str) -> Platform:
    """Give the platform of a Linux machine by uname's name for it."""
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def choose(wanted: Platform, offered: Sequence[Platform | None]) -> int | None:
    """Give the index of the offer that suits best, or ``None``; an offer without a platform suits when it is alone."""
    variants = _COMPATIBLE.get((wanted.architecture, wanted.variant), (wanted.variant, ""))
    for variant in variants:
        for index, platform in enumerate(offered):
            if platform == Platform(wanted.os, wanted.architecture, variant):
                return index
    return 0 if len(offered) == 1 and offered[0] is None else None
