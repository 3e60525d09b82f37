"""What a runtime cannot do is refused where it is written, with its reason."""

from agent.manifests import pipeline
from agent.model.features import Feature, Unsupported

ALL: Unsupported = tuple((feature, f"cannot {feature.value}") for feature in Feature)
NETWORK = """apiVersion: trimtab.dev/v1
kind: Network
metadata: {name: shop}
spec:
  dns: false
  subnets: [10.90.0.0/24, 10.91.0.0/24]
"""
CONTAINER = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web}
spec:
  image: app
  health:
    readiness: {tcp: {port: 80}}
    liveness: {exec: ['true']}
"""


def printed_problems(text: str, unsupported: Unsupported) -> list[str]:
    files = [pipeline.ManifestFile("a.yaml", "/", text.encode())]
    return [str(problem) for problem in pipeline.parse(files, pipeline.ParseOptions(unsupported)).problems]


SMALL = """apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: a}
spec: {image: app, mounts: [{volume: v, path: /v}], resources: {memoryReservation: 1Mi}}
---
apiVersion: trimtab.dev/v1
kind: Volume
metadata: {name: v}
---
apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: aa}
spec: {image: app, resources: {memoryReservation: 6Mi}}
"""


def test_lacking__small_names_and_reservations__are_told_too() -> None:
    assert printed_problems(SMALL, ALL) == [
        "a.yaml:3:18: metadata.name: cannot ShortNames (give it a longer one)",
        "a.yaml:4:84: spec.resources.memoryReservation: cannot SmallReservations (reserve 6Mi, or leave it out)",
        "a.yaml:8:18: metadata.name: cannot ShortNames (give it a longer one)",
    ]
    assert printed_problems(SMALL, ()) == []


def test_lacking__something_that_is_asked_for__is_told_with_place_reason_and_way_out() -> None:
    assert printed_problems(NETWORK, ALL) == [
        "a.yaml:5:8: spec.dns: cannot NetworkWithoutDns (leave it out)",
        "a.yaml:6:12: spec.subnets: cannot SeveralSubnets (keep one, or make another Network)",
    ]
    assert printed_problems(CONTAINER, ALL) == ["a.yaml:7:16: spec.health.readiness: cannot NetworkProbes (use exec)"]


def test_lacking__probes__are_told_one_by_one_and_commands_are_none() -> None:
    probes = "startup: {http: {port: 80}}\n    readiness: {exec: [a]}\n    liveness: {tcp: {port: 80}}"
    text = f"{CONTAINER.partition('  health')[0]}  health:\n    {probes}\n"
    assert printed_problems(text, ALL) == [
        "a.yaml:7:14: spec.health.startup: cannot NetworkProbes (use exec)",
        "a.yaml:9:15: spec.health.liveness: cannot NetworkProbes (use exec)",
    ]


def test_lacking__one_subnet_and_a_short_name_of_a_network__are_no_problem() -> None:
    text = NETWORK.replace("name: shop", "name: s").replace(", 10.91.0.0/24", "").replace("dns: false", "dns: true")
    assert printed_problems(text, ALL) == []


def test_lacking__nothing__is_no_problem() -> None:
    assert printed_problems(NETWORK, ()) == []
    assert printed_problems(CONTAINER, ((Feature.SEVERAL_SUBNETS, "no"),)) == []
