"""What manifests can ask for and not every runtime can do: refused at validation, with the runtime's reason."""

import enum


class Ability(enum.StrEnum):
    """Something that a runtime may lack."""

    NETWORK_WITHOUT_DNS = "NetworkWithoutDns"
    """A network in which containers do not resolve each other."""
    SEVERAL_SUBNETS = "SeveralSubnets"
    """A network with more than one IPv4 subnet."""
    NETWORK_PROBES = "NetworkProbes"
    """Probes by http and tcp: the agent reaches the containers' addresses."""
    SHORT_NAMES = "ShortNames"
    """Containers and volumes with a name of one letter."""
    SMALL_RESERVATIONS = "SmallReservations"
    """A reservation of less memory than the least limit, 6 MiB."""
    IMAGE_CONTENT = "ImageContent"
    """Images that have bytes, which can be pushed, saved, loaded and imported by hand."""


Lacking = tuple[tuple[Ability, str], ...]
"""(what a runtime cannot do, why not: the rest of a sentence that begins with its name)."""
EVERYTHING: Lacking = ()
"""What a runtime lacks that can do everything."""
