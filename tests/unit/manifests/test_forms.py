"""Where the forms of values end: the last that is taken, the first that is refused, and what is said of it."""

import base64
import json
import operator

import pydantic
import pytest

from agent.manifests import pipeline
from agent.manifests.v1 import forms

HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n{rest}\n"
SEE = "(see trimtab explain {})"


def parsed(rest: str, kind: str = "Container", name: str = "x") -> pipeline.Parsed:
    """Parse one object, which goes on in line 4."""
    text = HEAD.format(kind=kind, name=name, rest=rest)
    return pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", text.encode())])


def of(rest: str, kind: str = "Container", name: str = "x") -> list[str]:
    """Return an object's problems, without the file's name."""
    return [str(problem).removeprefix("a.yaml:") for problem in parsed(rest, kind, name).problems]


def messages(spec: str, kind: str = "Container") -> list[str]:
    """Return the problems of an object with a spec, without their places."""
    return [line.partition(": ")[2] for line in of(f"spec: {spec}", kind)]


@pytest.mark.parametrize(
    "fields",
    [
        "ports: ['1:65535', '65535:1/udp', '127.0.0.1:80:80/tcp']",
        "ports: [{host: 1, container: 65535}, {host: 65535, container: 1, protocol: udp}]",
        "security: {user: ''}",
        "security: {user: '2147483647:2147483647'}",
        "security: {user: '0000000001'}",
        "security: {user: nobody}",
        "stop: {signal: ''}",
        "stop: {gracePeriod: 0s}",
        "health: {liveness: {exec: [a], period: 1us, timeout: 1us}}",
        "health: {liveness: {exec: [a], successThreshold: 1000, failureThreshold: 1}}",
        "health: {liveness: {http: {port: 1, headers: {X-A: 'a\tb', x!: ''}}}}",
        "restart: {backoff: {initial: 2s, max: 2s}}",
        "resources: {cpus: 1m}",
        "resources: {cpus: 1000}",
        "resources: {memory: 6Mi, memoryReservation: 6Mi}",
        "resources: {memory: 0x600000}",
        "resources: {memory: 7Mi}",
        "resources: {memoryReservation: 1}",
        "resources: {pids: 4194304}",
        "mounts: [{tmpfs: 1, path: /x}]",
        f"hostname: {'a' * 63}",
        f"workingDir: /{'a' * 5000}",
        f"envFile: ['{'a' * 4095}']",
        f"envFile: [{', '.join(f'f{number}' for number in range(100))}]",
        "command: ['']",
        "env: {a.b c: ''}",
    ],
)
def test_value__that_is_the_last_of_its_kind__is_sound(fields: str) -> None:
    assert messages(f"{{image: x, {fields}}}") == []


NUL = "must not have a NUL character"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("ports: ['1:65536']", "ports[0] must have ports between 1 and 65535, and is '1:65536'"),
        ("ports: ['65536:1']", "ports[0] must have ports between 1 and 65535, and is '65536:1'"),
        ("ports: ['1:0']", "ports[0] must have ports between 1 and 65535, and is '1:0'"),
        ("ports: ['1:1/icmp']", "ports[0] must have tcp or udp as protocol, and is '1:1/icmp'"),
        ("ports: ['1.2.3:1:1']", "ports[0] must be an IPv4 address like 10.90.0.1, and is '1.2.3:1:1'"),
        ("ports: [{host: 0, container: 1}]", "ports[0].host must be 1 at least, and is 0"),
        (
            "security: {user: '2147483648'}",
            "security.user must have numbers of 2147483647 at most, and is '2147483648'",
        ),
        (
            "security: {user: '00000000001'}",
            "security.user must have numbers of 2147483647 at most, and is '00000000001'",
        ),
        (
            "security: {user: 'a:2147483648'}",
            "security.user must have numbers of 2147483647 at most, and is 'a:2147483648'",
        ),
        (
            "health: {liveness: {exec: [a], failureThreshold: 1001}}",
            "health.liveness.failureThreshold must be 1000 at most, and is 1001",
        ),
        (
            "health: {liveness: {exec: [a], successThreshold: 0}}",
            "health.liveness.successThreshold must be 1 at least, and is 0",
        ),
        (
            "health: {liveness: {http: {port: 1, path: a}}}",
            "health.liveness.http.path must begin with / and have no spaces, like /healthz?full=1, and is 'a'",
        ),
        ("resources: {cpus: 0}", "resources.cpus must be a number of cores like 0.5, 2 or 500m, and is 0"),
        (
            "resources: {cpus: '1000.001'}",
            "resources.cpus must be a number of cores like 0.5, 2 or 500m, and is '1000.001'",
        ),
        ("resources: {cpus: true}", "resources.cpus must be a number of cores like 0.5, 2 or 500m, and is true"),
        ("resources: {cpus: [1]}", "resources.cpus must be a number of cores like 0.5, 2 or 500m, and is a list"),
        ("resources: {memory: 6291455}", "resources.memory must be 6Mi at least, and is 6291455"),
        (
            "resources: {memory: 1x}",
            "resources.memory must be a quantity of bytes like 64Mi, 1G or 1048576, and is '1x'",
        ),
        ("resources: {pids: 4194305}", "resources.pids must be 4194304 at most, and is 4194305"),
        ("stop: {gracePeriod: 5}", "stop.gracePeriod must be a duration like 500ms, 10s or 1m30s, and is 5"),
        (
            "stop: {gracePeriod: '5'}",
            "stop.gracePeriod must be a duration like 500ms, 10s or 1m30s: it has no unit, as 5s has, and is '5'",
        ),
        (f"hostname: {'a' * 64}", f"hostname must have 63 characters at most, and has 64, and is '{'a' * 56}..."),
        ("envFile: ['']", "envFile[0] must be a path, like ./web.env, and is ''"),
        (
            "dependsOn: [5]",
            "dependsOn[0] must be a container's name, or {container: NAME, condition: Healthy}, and is 5",
        ),
        ('command: ["\\0"]', f"command[0] {NUL}, and is a text"),
        ('args: [a, "\\0"]', f"args[1] {NUL}, and is a text"),
        ('workingDir: "/a\\0"', r"workingDir must be an absolute path, like /srv/app, and is '/a\x00'"),
    ],
)
def test_value__that_is_the_first_behind_its_kind__is_refused(fields: str, expected: str) -> None:
    place = expected.partition(" ")[0].replace("[0]", "").replace("[1]", "")
    assert messages(f"{{image: x, {fields}}}") == [f"spec.{expected} {SEE.format(f'container.spec.{place}')}"]


def test_variable__with_a_nul__is_refused_without_it() -> None:
    assert messages('{image: x, env: {A: "\\0"}}') == [
        f"spec.env.A {NUL}, and is a text {SEE.format('container.spec.env')}"
    ]


def test_variable__of_a_config__is_told_as_not_built() -> None:
    (line,) = [line for line in messages("{image: x, env: {A: {config: app}}}") if "missing" not in line]
    assert line == "spec.env.A.config is not built yet (name a secret, or an env file in envFile)"


@pytest.mark.parametrize(
    ("kind", "spec", "field", "value"),
    [
        ("Network", "{driver: bridge, ipv6: false}", "driver", "bridge"),
        ("Network", "{ipv6: false}", "ipv6", False),
        ("Volume", "{driver: local}", "driver", "local"),
        ("Container", "{image: x, update: {strategy: Recreate, autoRollback: false}}", "update.strategy", "Recreate"),
        ("Container", "{image: x, update: {autoRollback: false}}", "update.auto_rollback", False),
    ],
)
def test_field__with_the_one_value_that_is_built__is_kept(kind: str, spec: str, field: str, value: object) -> None:
    (manifest,) = parsed(f"spec: {spec}", kind).manifests
    assert operator.attrgetter(field)(manifest.object.spec) == value


def test_scalar__as_text__is_written_as_in_the_file_and_a_list_stays_one() -> None:
    values = [forms.scalar_text(value) for value in (True, False, 5, 1.5, "a", [1], None)]
    assert values == ["true", "false", "5", "1.5", "a", [1], None]


def test_name__of_an_object__has_63_characters_at_most() -> None:
    assert of("spec: {image: x}", name="a" * 63) == []
    assert of("spec: {image: x}", name="a" * 64) == [
        f"3:18: metadata.name must have 63 characters at most, and has 64, and is '{'a' * 56}... "
        + SEE.format("container.metadata.name")
    ]


DIGEST = f"app@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("pull", "expected"),
    [
        ("reference: a, update: {interval: 1s}", []),
        ("reference: a, policy: Never", []),
        ("reference: a, policy: Always, update: {track: '>=1.2 <2'}", []),
        (f"reference: '{DIGEST}'", []),
        (f"reference: '{DIGEST}', policy: Never", []),
        (
            "reference: a, update: {interval: 999ms}",
            [f"4:48: spec.pull.update.interval must be 1s at least {SEE.format('image.spec.pull.update.interval')}"],
        ),
        (
            "reference: a, policy: Never, update: {}",
            ["4:52: spec.pull.update must not be with policy Never, which asks no registry (drop one)"],
        ),
        (
            f"reference: '{DIGEST}', update: {{}}",
            [
                (
                    "4:113: spec.pull.update must not ask again for what has a digest: that never moves "
                    "(name a tag, or leave it out)"
                )
            ],
        ),
        (
            f"reference: '{DIGEST}', policy: Always",
            [
                (
                    "4:113: spec.pull.policy must not ask again for what has a digest: that never moves "
                    "(name a tag, or leave it out)"
                )
            ],
        ),
    ],
)
def test_pull__that_asks_a_registry_again__is_refused_where_that_cannot_be(pull: str, expected: list[str]) -> None:
    assert of(f"spec: {{pull: {{{pull}}}}}", "Image") == expected


def test_track__that_is_no_range__is_told_with_an_example() -> None:
    (line,) = messages("{pull: {reference: a, update: {track: newest}}}", "Image")
    assert line.startswith("spec.pull.update.track must be tag or a range of versions: 'newest' is no range")
    assert line.endswith("(write ^1.2 or ~1.27.0)")


@pytest.mark.parametrize(
    "subnet",
    [
        "10.9.0.0/30",
        "{subnet: 10.9.0.0/24}",
        "{subnet: 10.9.0.0/24, gateway: 10.9.0.254}",
        "{subnet: 10.9.0.0/24, gateway: 10.9.0.254, range: 10.9.0.0/24}",
        "{subnet: 10.9.0.0/24, range: 10.9.0.128/25}",
        "126.0.0.0/8",
    ],
)
def test_subnet__that_is_just_large_enough__is_sound(subnet: str) -> None:
    assert messages(f"{{subnets: [{subnet}]}}", "Network") == []


@pytest.mark.parametrize(
    ("kind", "rest", "expected"),
    [
        (
            "Network",
            "spec: {subnets: [10.9.0.0/31]}",
            "spec.subnets[0] must have room for a gateway and a container: /30 or larger",
        ),
        (
            "Network",
            "spec: {subnets: [{subnet: 10.9.1.0/24, range: 10.9.0.0/23}]}",
            "spec.subnets[0].range must be inside of 10.9.1.0/24",
        ),
        (
            "Network",
            "spec: {subnets: [10.9.0.1/24]}",
            "spec.subnets[0] must be an IPv4 network like 10.90.0.0/24: 10.9.0.1/24 has host bits set",
        ),
        ("Network", "spec: {driver: vxlan}", "spec.driver must be bridge: vxlan is not built yet"),
        ("Volume", f"spec: {{driver: {'d' * 60}}}", f"spec.driver must be local: {'d' * 50} is not built yet"),
        (
            "Secret",
            f"type: {'t' * 60}",
            f"type must be Opaque or kubernetes.io/dockerconfigjson: {'t' * 50} is not built yet",
        ),
    ],
)
def test_object__with_what_is_not_built_or_too_small__is_told_so(kind: str, rest: str, expected: str) -> None:
    place = f"{kind.lower()}.{expected.partition(' ')[0].replace('[0]', '')}"
    assert [line.partition(": ")[2] for line in of(rest, kind)] == [f"{expected} {SEE.format(place)}"]


def test_secret__of_the_largest_size__is_sound_and_a_byte_more_is_refused() -> None:
    encoded = base64.b64encode(b"x" * 1024).decode()
    assert of(f"data: {{a: {encoded}}}\nstringData: {{b: {'x' * 1023 * 1024}}}", "Secret") == []
    assert of(f"data: {{a: {encoded}}}\nstringData: {{b: {'x' * (1023 * 1024 + 1)}}}", "Secret") == [
        "5:13: stringData has values of 1.0 MiB, the limit is 1 MiB (give large data as a file, by a mount)"
    ]


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_values_of_a_secret__that_are_no_mapping__are_told_by_their_type(field: str) -> None:
    for value, shown in (("s3cr3t", "a text"), ("1234", "a number, true or false"), ("[s3cr3t]", "a list")):
        expected = f"{field} must be a mapping, and is {shown} {SEE.format(f'secret.{field}')}"
        assert [line.partition(": ")[2] for line in of(f"{field}: {value}", "Secret")] == [expected]


LOGINS = "type: kubernetes.io/dockerconfigjson\n"
ME = {"username": "me", "password": "s3cr3t"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"auths": {"r.example": ME}, "credHelpers": {"r.example": "pass"}},
            "names programs that keep logins (write the logins themselves)",
        ),
        (
            {"auths": {"r.example": ME}, "credsStore": "pass"},
            "names programs that keep logins (write the logins themselves)",
        ),
        ({"auths": {"r" * 101: {}}}, f"has no login for {'r' * 100} (it needs username and password, or auth)"),
        (
            {"auths": {}},
            'has a .dockerconfigjson without logins (write {"auths": {REGISTRY: {"username": …, "password": …}}})',
        ),
    ],
)
@pytest.mark.parametrize("field", ["data", "stringData"])
def test_logins__that_are_none__are_told_at_the_field_that_has_them(
    field: str, document: object, expected: str
) -> None:
    text = json.dumps(document)
    value = base64.b64encode(text.encode()).decode() if field == "data" else json.dumps(text)
    assert of(f"{LOGINS}{field}: {{.dockerconfigjson: {value}}}", "Secret") == [
        f"5:{len(field) + 3}: {field} {expected}"
    ]


def test_logins__in_both_fields__are_those_that_are_written_as_they_are() -> None:
    text = json.dumps(json.dumps({"auths": {"r.example": ME}}))
    result = parsed(
        f"{LOGINS}data: {{.dockerconfigjson: bm9uZQ==}}\nstringData: {{.dockerconfigjson: {text}}}", "Secret"
    )
    assert result.problems == ()
    (login,) = pipeline.lower(result, "r", {}).logins
    assert (login.place, login.password) == ("r.example", "s3cr3t")


def test_logins__beside_another_value_in_data__are_refused_there() -> None:
    assert of(f"{LOGINS}data: {{.dockerconfigjson: bm9uZQ==, other: YQ==}}", "Secret") == [
        "5:7: data must have .dockerconfigjson and nothing else (see trimtab explain secret)"
    ]


def test_model__that_was_read__cannot_be_changed_and_shows_no_value_of_a_secret() -> None:
    (manifest,) = parsed("data: {a: czNjcjN0}\nstringData: {b: s3cr3t}", "Secret").manifests
    assert "czNjcjN0" not in repr(manifest.object)
    assert "s3cr3t" not in repr(manifest.object)
    with pytest.raises(pydantic.ValidationError):
        manifest.object.metadata.name = "other"
