"""Mistakes are told in the words of the one who writes the file: no pattern, no Python, and one problem a place."""

import pytest

from agent import errors
from agent.manifests import explain, pipeline

HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n"


def printed_problems(spec: str, kind: str = "Container") -> list[str]:
    """Return the problems of an object, without their positions."""
    text = HEAD.format(kind=kind, spec=spec)
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", text.encode())])
    return [str(problem).split(": ", 1)[1] for problem in parsed.problems]


PORTS = "(see trimtab explain container.spec.ports)"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "{image: x, ports: [8080]}",
            "spec.ports[0] must be written as 8080:80, 127.0.0.1:8080:80/udp or "
            "{host: 8080, container: 80}, and is 8080 " + PORTS,
        ),
        (
            "{image: x, ports: ['80']}",
            "spec.ports[0] must be written as 8080:80, 127.0.0.1:8080:80/udp or "
            "{host: 8080, container: 80}, and is '80' " + PORTS,
        ),
        (
            "{image: x, ports: [80:80/sctp]}",
            f"spec.ports[0] cannot be sctp, which is not built yet: tcp or udp {PORTS}",
        ),
        (
            "{image: x, ports: [{host: 80, container: 80, protocol: sctp}]}",
            (
                "spec.ports[0].protocol cannot be sctp, which is not built yet: tcp or udp "
                "(see trimtab explain container.spec.ports.protocol)"
            ),
        ),
        (
            "{image: x, ports: [{host: 80, container: 99999}]}",
            (
                "spec.ports[0].container must be 65535 at most, and is 99999 "
                "(see trimtab explain container.spec.ports.container)"
            ),
        ),
        (
            "{image: x, networks: shop}",
            (
                "spec.networks must be bridge, host, none, or a list like [shop], and is 'shop' "
                "(see trimtab explain container.spec.networks)"
            ),
        ),
        (
            "{image: x, networks: [5]}",
            (
                "spec.networks[0] must be a network's name, or {name: NETWORK, ipv4: ADDRESS}, and is 5 "
                "(see trimtab explain container.spec.networks)"
            ),
        ),
        (
            "{image: ~}",
            (
                "spec.image must be a reference like nginx:1.27, or {name: IMAGE}, and is null "
                "(see trimtab explain container.spec.image)"
            ),
        ),
        (
            "{image: x, mounts: [{volume: V_1, path: /x}]}",
            (
                "spec.mounts[0].volume must be a name of small letters, digits and dashes, like web-1, and is 'V_1' "
                "(see trimtab explain container.spec.mounts.volume)"
            ),
        ),
        (
            "{image: x, hostname: a_b}",
            (
                "spec.hostname must be a host name, like web.example.org, and is 'a_b' "
                "(see trimtab explain container.spec.hostname)"
            ),
        ),
        (
            "{image: x, workingDir: app}",
            (
                "spec.workingDir must be an absolute path, like /srv/app, and is 'app' "
                "(see trimtab explain container.spec.workingDir)"
            ),
        ),
        (
            "{image: x, health: {liveness: {exec: []}}}",
            "spec.health.liveness.exec must not be empty (see trimtab explain container.spec.health.liveness.exec)",
        ),
    ],
)
def test_mistake__is_told_once_in_words(spec: str, expected: str) -> None:
    assert printed_problems(spec) == [expected]


def test_platform__is_told_by_an_example() -> None:
    assert printed_problems("{pull: {reference: x, platform: amd64}}", "Image") == [
        (
            "spec.pull.platform must be os/arch or os/arch/variant, like linux/arm64, and is 'amd64' "
            "(see trimtab explain image.spec.pull.platform)"
        )
    ]


def test_field_that_is_misspelt__is_not_told_as_missing_too() -> None:
    assert printed_problems("{imgae: x}") == ["unknown field spec.imgae (did you mean image?)"]
    assert printed_problems("{image: x, ports: [{hots: 1, container: 1}]}") == [
        "unknown field spec.ports[0].hots (did you mean host?)"
    ]
    assert [line.partition(" (")[0] for line in printed_problems("{image: x, ports: [{zzz: 1, container: 1}]}")] == [
        "spec.ports[0].host is missing",
        "unknown field spec.ports[0].zzz",
    ]


def test_two_fields_that_are_missing__are_both_told() -> None:
    assert printed_problems("{image: x, ports: [{}]}") == [
        f"spec.ports[0].container is missing {PORTS}",
        f"spec.ports[0].host is missing {PORTS}",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        "{image: x, env: {PASSWORD: [a]}}",
        "{image: x, env: {secret: [a]}}",
        "{image: x, health: {liveness: {http: {port: 1, headers: {X: 1}}}}}",
        "{image: x, mounts: [{path: /x, volume: [1]}]}",
        "{image: x, networks: [{name: 1}]}",
    ],
)
def test_hint__a_field_to_explain__can_be_explained(spec: str) -> None:
    hint = printed_problems(spec)[0].rpartition("(see trimtab explain ")[2].removesuffix(")")
    assert explain.explain(hint).startswith(f"{hint} <")


def test_explain__annotations_of_ours__are_said_to_be_refused() -> None:
    expected = "Annotations for tools; those of trimtab.dev/ are the agent's own: refused."
    assert explain.look_up("container.metadata.annotations").description == expected


def test_hint__below_a_mapping_of_names__explains_the_mapping() -> None:
    assert printed_problems("{image: x, env: {secret: [a]}}")[0].endswith("(see trimtab explain container.spec.env)")
    with pytest.raises(errors.TrimtabError):
        explain.explain("container.spec.env.PASSWORD")
