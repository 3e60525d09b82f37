"""What no engine with the Docker API can do, known without asking one."""

from agent.model.abilities import Ability, Lacking


def lacking(flavour: str, *, local: bool) -> Lacking:
    """Give what an engine lacks; ``local``: its containers are on this host."""
    name = flavour.capitalize()
    found = [(Ability.NETWORK_WITHOUT_DNS, f"{name} answers names in every network that is made")]
    if flavour == "docker":
        found += [
            (Ability.SEVERAL_SUBNETS, "Docker gives a bridge one IPv4 subnet"),
            (Ability.SHORT_NAMES, "Docker takes no name of one letter"),
            (Ability.SMALL_RESERVATIONS, "Docker reserves no less than 6Mi"),
        ]
    if not local:
        reason = "the engine is on another host, and its containers' addresses are out of reach"
        found.append((Ability.NETWORK_PROBES, reason))
    return tuple(found)
