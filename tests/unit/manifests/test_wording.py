"""Mistakes are told in the words of the one who writes the file: no pattern, no Python, and one problem a place."""

import pydantic
import pytest

from agent import errors
from agent.manifests import decode, explain, pipeline, wording
from agent.manifests.v1 import base, forms

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


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        (
            "Container",
            "{{image: x, envFile: [{}]}}".format(",".join(["a"] * 101)),
            "envFile must have 100 entries at most, and is a list",
        ),
        (
            "Container",
            "{image: x, envFile: ['%s']}" % ("a" * 4096),
            f"envFile[0] must have 4095 characters at most, and is '{'a' * 56}...",
        ),
        (
            "Container",
            "{image: x, hostname: '%s_'}" % ("a" * 57),
            f"hostname must be a host name, like web.example.org, and is '{'a' * 57}_'",
        ),
        (
            "Container",
            "{image: x, hostname: '%s_'}" % ("a" * 58),
            f"hostname must be a host name, like web.example.org, and is '{'a' * 56}...",
        ),
        ("Container", "{image: x, resources: {pids: true}}", "resources.pids must be a whole number, and is true"),
        ("Container", "{image: x, resources: {pids: 1.50}}", "resources.pids must be a whole number, and is 1.50"),
        ("Container", "{image: x, resources: {pids: '1'}}", "resources.pids must be a whole number, and is '1'"),
        ("Container", "{image: x, resources: 5}", "resources must be a mapping, and is 5"),
        ("Container", "{image: x, ports: {a: b}}", "ports must be a list, and is a mapping"),
        ("Container", "{image: x, health: {liveness: [a]}}", "health.liveness must be a mapping, and is a list"),
        (
            "Container",
            "{image: x, security: {noNewPrivileges: 1}}",
            "security.noNewPrivileges must be true or false, and is 1",
        ),
        (
            "Container",
            "{image: x, restart: {policy: ~}}",
            "restart.policy must be 'Always', 'OnFailure', 'UnlessStopped' or 'Never', and is null",
        ),
        (
            "Container",
            "{image: x, ports: [{host: 1, container: 2, protocol: icmp}]}",
            "ports[0].protocol must have tcp or udp as protocol, and is 'icmp'",
        ),
        ("Network", "{mtu: 67}", "mtu must be 68 at least, and is 67"),
        ("Network", "{mtu: 65536}", "mtu must be 65535 at most, and is 65536"),
        ("Image", "{pull: {reference: 5}}", "pull.reference must be a text: quote it, and is 5"),
        ("Image", "{pull: {reference: [a]}}", "pull.reference must be a text, and is a list"),
    ],
)
def test_value__of_another_type_or_size__is_told_in_words(kind: str, spec: str, expected: str) -> None:
    field = expected.partition(" ")[0].replace("[0]", "")
    assert printed_problems(spec, kind) == [f"spec.{expected} (see trimtab explain {kind.lower()}.spec.{field})"]


@pytest.mark.parametrize("type_", ["command: [5]", "args: [true]", "env: {A: [b]}", "env: {A: {secret: 5, key: k}}"])
def test_value__that_may_be_secret__is_told_by_its_type_alone(type_: str) -> None:
    (line,) = printed_problems(f"{{image: x, {type_}}}")
    ending = "and is a list" if "[b]" in type_ else "quote it, and is a number, true or false"
    assert f", {ending} (" in line or f": {ending} (" in line


def test_field__that_is_misspelt_and_stands_there_rightly_too__both_are_told() -> None:
    assert printed_problems("{imgae: x, image: 5}") == [
        "unknown field spec.imgae (did you mean image?)",
        (
            "spec.image must be a reference like nginx:1.27, or {name: IMAGE}, and is 5 "
            "(see trimtab explain container.spec.image)"
        ),
    ]


def test_name__that_is_none__leads_to_the_explanation_of_the_mapping() -> None:
    assert printed_problems("{image: x, env: {'': b}}") == [
        "a name in spec.env must be a name without =, like TZ, and is a text (see trimtab explain container.spec.env)"
    ]


def test_field__that_is_unknown_within_a_variable__is_told_what_others_call_so() -> None:
    assert printed_problems("{image: x, env: {TOKEN: {secret: a, key: b, optional: true}}}") == [
        "unknown field spec.env.TOKEN.optional (leave it out: a Secret and its key have to be declared)"
    ]


def test_names__that_look_like_something_else__are_told_as_names() -> None:
    assert printed_problems("{image: x, 'a b': 1}")[0].startswith("unknown field spec.a b (fields here are image,")
    (line,) = printed_problems("{image: x, env: {'[key]': [a]}}")
    assert line.startswith("spec.env must be a text, number or true/false, or {secret: NAME, key: KEY}, and is a list")


def test_field__that_is_unknown_and_long__is_told_in_short_with_what_there_is() -> None:
    (line,) = printed_problems(f"{{image: x, networks: [{{name: a, {'k' * 61}: 1}}]}}")
    assert line == f"unknown field spec.networks[0].{'k' * 60}... (fields here are name, aliases, ipv4)"


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("imgae", ["image", "imagine"], "did you mean image?"),
        ("zzz", ["image", "network"], "known are image, network"),
        ("zzz", [f"n{number}" for number in range(20)], "known are " + ", ".join(f"n{number}" for number in range(20))),
        (
            "zzz",
            [f"n{number}" for number in range(22)],
            f"known are {', '.join(f'n{number}' for number in range(20))} and 2 more",
        ),
        ("environme", ["environments"], "did you mean environments?"),
        ("environm", ["environments"], "known are environments"),
        ("environments", ["environme"], "did you mean environme?"),
        ("environments", ["environm"], "known are environm"),
        ("k" * 60, ["k" * 61], f"did you mean {'k' * 61}?"),
        ("k" * 61, ["k" * 60], f"known are {'k' * 60}"),
        ("zzz", [], "known are "),
    ],
)
def test_suggestion__is_the_nearest_or_a_list_of_some(word: str, choices: list[str], expected: str) -> None:
    assert wording.suggestion(word, choices) == expected


def test_suggestion__among_many__is_looked_for_in_the_first_of_a_like_length() -> None:
    others = [f"{number:05}" for number in range(299)]
    assert wording.suggestion("image", ["far too long to be it", *others, "imag"]) == "did you mean imag?"
    assert wording.suggestion("image", [*others, "00299", "imag"]).startswith("known are 00000, ")
    assert wording.suggestion("image", ["network"], "fields here are") == "fields here are network"


class Sample(base.Model):
    """A kind with mistakes that no kind has yet."""

    count: int = pydantic.Field(default=2, multiple_of=2)
    text: str = "a"
    data: dict[str, dict[str, int]] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _is_sound(self) -> "Sample":
        if self.text == "wrong":
            raise forms.InvalidField("is wrong as a whole", hint="write another")
        if self.text == "bad":
            raise ValueError("is as bad as can be")
        return self


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "count: 3",
            "a.yaml:1:8: count is wrong: input should be a multiple of 2, and is 3 (see trimtab explain sample.count)",
        ),
        (
            "data: {a: {'s3=cr3t': 5, 'b': c}}",
            "a.yaml:1:31: data.a.b must be a whole number, and is a text (see trimtab explain sample.data)",
        ),
        (
            "data: {a: {'s3=cr3t': c}}",
            "a.yaml:1:23: data.a must be a whole number, and is a text (see trimtab explain sample.data)",
        ),
        ("text: wrong", "a.yaml:1:1: the manifest is wrong as a whole (write another)"),
        ("text: bad", "a.yaml:1:1: the manifest is as bad as can be, and is a mapping (see trimtab explain sample)"),
    ],
)
def test_problems__of_a_kind_of_its_own__are_told_too(text: str, expected: str) -> None:
    (document,), _ = decode.decode("a.yaml", text.encode())
    with pytest.raises(pydantic.ValidationError) as raised:
        Sample.model_validate(document.value)
    assert [str(item) for item in wording.problems_of(document, Sample, raised.value.errors())] == [expected]


def test_models__in_a_type__are_those_of_its_unions_and_containers() -> None:
    inner = dict[str, list[Sample] | None] | int | base.Metadata
    assert list(wording.models_in(inner)) == [Sample, base.Metadata]
    assert list(wording.models_in(str)) == []
