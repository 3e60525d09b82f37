"""Features that not every runtime supports, each with the runtime's reason: the one table of what a driver cannot do.

What a manifest asks for is refused at validation; what a call asks for, by the call (``refusal``).
"""

import enum


class Feature(enum.StrEnum):
    """A feature that a runtime may not support."""

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
    CONTAINER_FILES = "ContainerFiles"
    """Containers that have files, which can be copied out and in."""
    PROCESSES = "Processes"
    """Listing of the processes in a container."""
    BUILDS = "Builds"
    """Images that are built from Dockerfiles."""
    ADMITTED_BUILDS = "AdmittedBuilds"
    """Builds that are held to what their source is admitted to do."""
    BUILD_CACHES = "BuildCaches"
    """Builds that take steps from caches in registries, and keep them there."""


Unsupported = tuple[tuple[Feature, str], ...]
"""Pairs of an unsupported feature and the reason, which ends a sentence that begins with the runtime's name."""
NOTHING_UNSUPPORTED: Unsupported = ()
"""Of a runtime that supports every feature."""
