"""Who types what Kubernetes or Compose take is told what to type here, in the line where it stands."""

import pytest

from agent.manifests import explain, foreign_spellings, pipeline
from tests.unit.manifests import test_wording

HEAD = "apiVersion: trimtab.dev/v1\nkind: {kind}\nmetadata: {metadata}\n{fields}\n"
VARIABLE = "must be a text, number or true/false, or {secret: NAME, key: KEY}"
CONFIG = "kind Config is not built yet: write the value itself, or name a file of NAME=VALUE lines in envFile"

TABLES = {
    **foreign_spellings.FIELDS,
    "container.metadata": foreign_spellings.METADATA,
    "container": foreign_spellings.OBJECT,
}


def problems(fields: str, kind: str = "Container", metadata: str = "{name: x}") -> list[str]:
    """Return the problems of an object, without the file's name."""
    text = HEAD.format(kind=kind, metadata=metadata, fields=fields)
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", text.encode())])
    return [str(problem).removeprefix("a.yaml:") for problem in parsed.problems]


def spec(fields: str) -> list[str]:
    """Return the problems of a Container's fields, each of which stands in a line from 6 on."""
    return problems(f"spec:\n  image: x\n  {fields}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{valueFrom: {secretKeyRef: {name: db, key: p.w}}}", f"{VARIABLE} (did you mean {{secret: db, key: p.w}}?)"),
        ("{secretKeyRef: {name: db, key: p}}", f"{VARIABLE} (did you mean {{secret: db, key: p}}?)"),
        ("{name: db, key: p}", f"{VARIABLE} (did you mean {{secret: db, key: p}}?)"),
        ("{valueFrom: {secretKeyRef: {name: A B, key: p}}}", f"{VARIABLE} (did you mean {{secret: NAME, key: KEY}}?)"),
        ("{valueFrom: {secretKeyRef: x}}", f"{VARIABLE} (did you mean {{secret: NAME, key: KEY}}?)"),
        ("{valueFrom: {configMapKeyRef: {name: db, key: p}}}", f"{VARIABLE} ({CONFIG})"),
        (
            "{valueFrom: {fieldRef: {fieldPath: metadata.name}}}",
            f"{VARIABLE} (write the value itself: the agent fills in no fields of an object)",
        ),
        (
            "{valueFrom: {resourceFieldRef: {resource: limits.cpu}}}",
            f"{VARIABLE} (write the value itself: the agent fills in no fields of an object)",
        ),
        ("{value: s3cr3t}", f"{VARIABLE} (write NAME: VALUE)"),
        ("{valueFrom: {secretKeyRef: {key: p}}}", f"{VARIABLE} (did you mean {{secret: NAME, key: KEY}}?)"),
        ("{valueFrom: {secretKeyRef: {name: db}}}", f"{VARIABLE} (did you mean {{secret: NAME, key: KEY}}?)"),
        ("{valueFrom: {secretKeyRef: {name: db, key: a b}}}", f"{VARIABLE} (did you mean {{secret: NAME, key: KEY}}?)"),
        ("{configMapRef: {name: db}}", f"{VARIABLE} ({CONFIG})"),
        ("{name: db}", f"{VARIABLE} (quote it where it is meant as a text)"),
        ("{valueFrom: s3cr3t}", f"{VARIABLE} (quote it where it is meant as a text)"),
        (
            "",
            f"{VARIABLE}, and is null (write '' for an empty value: the agent's own environment is not passed on)",
        ),
    ],
)
def test_variable__as_others_write_it__is_refused_with_our_spelling(value: str, expected: str) -> None:
    assert spec(f"env:\n    A: {value}") == [f"7:{8 if value else 7}: spec.env.A {expected}"]


def test_reference__optional__is_told_to_be_declared() -> None:
    assert spec("env:\n    A: {secret: db, key: p, optional: true}") == [
        "7:29: unknown field spec.env.A.optional (leave it out: a Secret and its key have to be declared)"
    ]
    assert spec("env:\n    A: {secret: {name: db, key: p}}")[-1] == (
        "7:17: spec.env.A.secret must be a text, and is a mapping (did you mean {secret: db, key: p}?)"
    )
    assert spec("env:\n    A: {secret: {name: db}, key: p}") == [
        "7:17: spec.env.A.secret must be a text, and is a mapping (did you mean {secret: NAME, key: KEY}?)"
    ]
    assert spec("env:\n    A: {secret: 5, key: p}") == [
        (
            "7:17: spec.env.A.secret must be a text: quote it, and is a number, true or false"
            " (see trimtab explain container.spec.env)"
        )
    ]
    assert "s3cr3t" not in str(spec("env:\n    A: {secret: db, key: p, s3cr3t: true}"))


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("[{name: A, value: s3cr3t}]", "did you mean env: {NAME: VALUE}?"),
        ("['A=s3cr3t']", "did you mean env: {NAME: VALUE}?"),
        ("[A]", "did you mean env: {NAME: VALUE}?"),
        ("A=s3cr3t", "did you mean env: {NAME: VALUE}?"),
        ("[]", "did you mean env: {}?"),
        (
            "[{name: A, valueFrom: {secretKeyRef: {name: db, key: p}}}]",
            "did you mean env: {NAME: VALUE, NAME: {secret: NAME, key: KEY}}?",
        ),
        (
            "[{name: A, value: b}, {name: B, valueFrom: {}}]",
            "did you mean env: {NAME: VALUE, NAME: {secret: NAME, key: KEY}}?",
        ),
        ("[valueFrom]", "did you mean env: {NAME: VALUE}?"),
        ("5", "see trimtab explain container.spec.env"),
    ],
)
def test_environment__as_others_write_it__is_refused_with_our_spelling(value: str, hint: str) -> None:
    (line,) = spec(f"env: {value}")
    assert line.startswith("6:8: spec.env must be a mapping, and is a ")
    assert line.endswith(f" ({hint})")
    assert "s3cr3t" not in line


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("environment: {A: b}", "6:3: unknown field spec.environment (did you mean env: {NAME: VALUE}?)"),
        (
            "envFrom: [{secretRef: {name: db}}]",
            (
                "6:3: unknown field spec.envFrom (did you mean env: {NAME: {secret: NAME, key: KEY}} for each value, or"
                " envFile: [PATH]?)"
            ),
        ),
        ("env_file: a.env", "6:3: unknown field spec.env_file (did you mean envFile: [PATH]?)"),
        ("envFile: a.env", "6:12: spec.envFile must be a list, and is 'a.env' (did you mean envFile: [PATH]?)"),
        (
            "envFile: [{path: a.env, required: false}]",
            (
                "6:13: spec.envFile[0] must be a text, and is a mapping (write the path alone: a file that is declared"
                " has to be there)"
            ),
        ),
        (
            "restart: on-failure:3",
            "6:12: spec.restart must be a mapping, and is 'on-failure:3' (did you mean restart: {policy: OnFailure}?)",
        ),
        (
            "restart: unless-stopped",
            (
                "6:12: spec.restart must be a mapping, and is 'unless-stopped' "
                "(did you mean restart: {policy: UnlessStopped}?)"
            ),
        ),
        (
            "restart: Always",
            "6:12: spec.restart must be a mapping, and is 'Always' (did you mean restart: {policy: Always}?)",
        ),
        ("resources: {status: 1}", "6:15: unknown field spec.resources.status (fields here are cpus, memory,"),
        (
            "restart: 'no'",
            "6:12: spec.restart must be a mapping, and is 'no' (did you mean restart: {policy: Never}?)",
        ),
        (
            "restart: false",
            "6:12: spec.restart must be a mapping, and is false (did you mean restart: {policy: Never}?)",
        ),
        (
            "networks: {shop: {}}",
            (
                "6:13: spec.networks must be bridge, host, none, or a list of networks, and is a mapping (did you mean"
                " networks: [NAME], or [{name: NAME, ipv4: ADDRESS}]?)"
            ),
        ),
        (
            "command: ls -l",
            (
                "6:12: spec.command must be a list, and is a text (write each word by itself, like"
                ' ["sh", "-c", "COMMAND"])'
            ),
        ),
        (
            "resources: {limits: {memory: 1Gi}}",
            "6:15: unknown field spec.resources.limits (did you mean memory: 128Mi,",
        ),
        (
            "health: {liveness: {tcpSocket: {port: 1}}}",
            "6:23: unknown field spec.health.liveness.tcpSocket (did you mean tcp?)",
        ),
    ],
)
def test_field__as_others_write_it__is_refused_with_our_spelling(fields: str, expected: str) -> None:
    (line,) = spec(fields)
    assert line.startswith(expected)


def test_field_that_stands_for_one_of_ours__is_not_told_as_missing_too() -> None:
    assert spec("ports: [{hostPort: 80, containerPort: 80}]") == [
        "6:12: unknown field spec.ports[0].hostPort (did you mean host?)",
        "6:26: unknown field spec.ports[0].containerPort (did you mean container?)",
    ]
    assert spec("mounts: [{hostPath: /a, mountPath: /b}]")[1:] == [
        "6:27: unknown field spec.mounts[0].mountPath (did you mean path?)"
    ]


def test_what_kubectl_prints__is_refused_field_by_field() -> None:
    metadata = "\n  name: x\n  namespace: default\n  creationTimestamp: null\n  resourceVersion: '1'\n  uid: u"
    of_kubectl = "leave it out: kubectl get prints it, nobody declares it"
    assert problems("spec: {image: x}\nstatus: {}", metadata=metadata) == [
        "5:3: unknown field metadata.namespace (leave it out: there are no namespaces, a name is unique on the host)",
        f"6:3: unknown field metadata.creationTimestamp ({of_kubectl})",
        f"7:3: unknown field metadata.resourceVersion ({of_kubectl})",
        f"8:3: unknown field metadata.uid ({of_kubectl})",
        "10:1: unknown field status (leave it out: trimtab status prints it, nobody declares it)",
    ]
    assert problems("spec: {image: x}", metadata="{generateName: x-}") == [
        "3:12: unknown field metadata.generateName (did you mean name? It is the whole name)"
    ]


@pytest.mark.parametrize("kind", ["Image", "Network", "Volume", "Secret"])
def test_what_kubectl_prints__is_refused_alike_for_every_kind(kind: str) -> None:
    lines = problems("status: {}", kind=kind, metadata="{name: x, namespace: y}")
    assert any("unknown field metadata.namespace (leave it out: there" in line for line in lines)
    assert any("unknown field status (leave it out: trimtab status" in line for line in lines)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("stringData: {a: 1}", "4:17: stringData.a must be a text: quote it, and is a number, true or false ("),
        ("stringData: {a: 0x1F}", "4:17: stringData.a must be a text: quote it, and is a number, true or false ("),
        ("stringData: {a: }", "4:17: stringData.a must be a text, and is null (write '' for an empty value)"),
        ("data: {a: ~}", "4:11: data.a must be a text, and is null (write '' for an empty value)"),
        ("stringData: ", "4:12: stringData must be a mapping, and is null (leave it out where there are no values)"),
        ("stringData: {a: b}\nimmutable: true", "5:1: unknown field immutable (leave it out: a value that has changed"),
    ],
)
def test_secret__as_others_write_it__is_refused_with_the_way_out(fields: str, expected: str) -> None:
    (line,) = problems(fields, kind="Secret")
    assert line.startswith(expected)


@pytest.mark.parametrize("kind", foreign_spellings.KINDS)
def test_kind_of_kubernetes__is_refused_with_what_to_write(kind: str) -> None:
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", f"apiVersion: v1\nkind: {kind}\n".encode())])
    assert [str(problem) for problem in parsed.problems] == [
        f"a.yaml:1:13: apiVersion must be trimtab.dev/v1 ({foreign_spellings.KINDS[kind]})"
    ]


def test_version_that_is_missing__is_told_whatever_the_kind() -> None:
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", b"kind: Secret\n")])
    assert [problem.hint for problem in parsed.problems] == ["begin with apiVersion: trimtab.dev/v1"]


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, table in TABLES.items() for name in table])
def test_table__names_no_field_of_ours__and_points_to_one(place: str, name: str) -> None:
    fields = {member.name for member in explain.look_up(place).members}
    assert name not in fields
    intended = foreign_spellings.intended_field(place, name)
    around = {member.name for above in ("container", "container.spec") for member in explain.look_up(above).members}
    assert not intended or intended in fields | around | {"kind", "another"}


def test_name__that_is_too_long__is_told_so() -> None:
    name = "x" * 64
    assert (
        "metadata.name must have 63 characters at most, and has 64, and is 'x"
        in problems("spec: {image: x}", metadata=f"{{name: {name}}}")[0]
    )
    assert "spec.hostname must have 63 characters at most, and has 64" in spec(f"hostname: {name}")[0]
    assert spec(f"hostname: {name[1:]}") == []


def test_hint__of_an_entry_that_is_wrong_by_itself__is_not_that_of_the_whole() -> None:
    assert test_wording.printed_problems("{image: x, command: [5]}") == [
        (
            "spec.command[0] must be a text: quote it, and is a number, true or false (see trimtab explain"
            " container.spec.command)"
        )
    ]


def test_field_that_nobody_has__is_told_with_those_that_there_are() -> None:
    assert problems("spec: {image: x}\nzzz: 1", metadata="{name: x, zzz: 1}") == [
        "3:21: unknown field metadata.zzz (fields here are name, annotations, labels)",
        "5:1: unknown field zzz (fields here are apiVersion, kind, metadata, spec)",
    ]
