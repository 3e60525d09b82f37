"""What a runtime cannot do is refused where it is written, with its reason."""

import pytest

from agent.manifests import admission, pipeline
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


BUILD = "apiVersion: trimtab.dev/v1\nkind: Image\nmetadata: {name: app}\nspec: {build: {}}\n"


@pytest.mark.parametrize(
    ("policy", "is_refused"),
    [
        (admission.EVERYTHING, False),
        (admission.Policy(registries=("registry.example",)), True),
        (admission.Policy(admission.Level.BASELINE, host_network=True, own=("/",)), True),
    ],
)
def test_lacking__builds_that_nobody_holds_to_what_is_admitted__are_refused_where_something_is_not(
    policy: admission.Policy, is_refused: bool
) -> None:
    unsupported = ((Feature.ADMITTED_BUILDS, "nobody holds it"),)
    options = pipeline.ParseOptions(unsupported=unsupported, admitted=policy)
    result = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", BUILD.encode())], options)
    expected = ["a.yaml:4:15: spec.build: nobody holds it (name the image by pull or archive)"] if is_refused else []
    assert [str(problem) for problem in result.problems] == expected
