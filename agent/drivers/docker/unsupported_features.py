"""The features that engines with the Docker API do not support, by flavour; no engine is asked."""

from agent.model.features import Feature, Unsupported


def of(flavour: str, *, local: bool) -> Unsupported:
    """Return what an engine lacks; ``local``: its containers are on this host."""
    name = flavour.capitalize()
    unsupported = [
        (Feature.NETWORK_WITHOUT_DNS, f"{name} answers names in every network that is made"),
        (Feature.BUILD_CACHES, f"{name}'s API keeps no steps of builds in a registry"),
        (Feature.ADMITTED_BUILDS, f"nobody holds {name}'s builder to what is admitted for this source"),
    ]
    if flavour == "docker":
        unsupported += [
            (Feature.SEVERAL_SUBNETS, "Docker gives a bridge one IPv4 subnet"),
            (Feature.SHORT_NAMES, "Docker takes no name of one letter"),
            (Feature.SMALL_RESERVATIONS, "Docker reserves no less than 6Mi"),
        ]
    if not local:
        reason = "the engine is on another host, and its containers' addresses are out of reach"
        unsupported.append((Feature.NETWORK_PROBES, reason))
        if flavour == "podman":
            unsupported.append((Feature.PROCESSES, "the engine is on another host, and tells no pids of that"))
    return tuple(unsupported)
