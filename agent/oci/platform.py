"""Platforms: operating system, architecture and variant, in Go's words as the image specification has them."""

import re
from collections.abc import Sequence

from agent.kit import frozen

_MACHINES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}
"""By uname's name, or what people call it. All others are called so by Go as well."""
_ARM = re.compile(r"armv([5-8])[a-z]*")
"""uname's names of 32-bit ARM: ``armv7l``, ``armv5tel``; a 64-bit one that runs 32-bit programs is ``armv8l``."""
_COMPATIBLE = {
    ("amd64", ""): ("", "v1"),
    ("amd64", "v1"): ("v1", ""),
    ("amd64", "v2"): ("v2", "", "v1"),
    ("amd64", "v3"): ("v3", "v2", "", "v1"),
    ("amd64", "v4"): ("v4", "v3", "v2", "", "v1"),
    ("arm64", ""): ("", "v8"),
    ("arm64", "v8"): ("", "v8"),
    ("arm", ""): ("v7", "", "v6", "v5"),
    ("arm", "v8"): ("v8", "v7", "", "v6", "v5"),
    ("arm", "v7"): ("v7", "v6", "v5", ""),
    ("arm", "v6"): ("v6", "v5", ""),
    ("arm", "v5"): ("v5",),
}
"""Variants that a machine can run, the best first. Without one, ``arm64`` means v8 and ``arm`` v7, as everywhere."""


@frozen.value(order=True)
class Platform:
    """The platform that an image is built for."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Return ``os/arch[/variant]``."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse(text: str) -> Platform:
    """Read ``os/arch[/variant]``. Raises ``ValueError``."""
    parts = text.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise ValueError(f"{text!r} is no platform: linux/amd64 or linux/arm/v7 is")
    return Platform(*parts)


def of_machine(machine: str) -> Platform:
    """Return the platform of a Linux machine, by ``uname -m``."""
    if match := _ARM.fullmatch(machine):
        return Platform("linux", "arm", f"v{match[1]}")
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def normal(platform: Platform) -> Platform:
    """Return a platform in Go's words: people also write ``linux/x86_64`` and ``linux/aarch64``."""
    architecture, variant = _MACHINES.get(platform.architecture.lower(), (platform.architecture.lower(), ""))
    return Platform(platform.os.lower(), architecture, (platform.variant or variant).lower())


def choose(requested: Platform, offered: Sequence[Platform | None]) -> int | None:
    """Return the index of the best offer, or ``None``; an offer without a platform fits only when it is alone."""
    target = normal(requested)
    candidates = [None if platform is None else normal(platform) for platform in offered]
    for variant in _COMPATIBLE.get((target.architecture, target.variant), (target.variant, "")):
        for index, platform in enumerate(candidates):
            if platform == Platform(target.os, target.architecture, variant):
                return index
    return 0 if len(offered) == 1 and offered[0] is None else None
