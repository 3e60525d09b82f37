"""Secrets: logins at registries, said as kubectl and docker login say them; and what is said of wrong ones."""

import base64
import json

import pytest

from agent.manifests import pipeline, registry
from agent.model import secret, state
from agent.oci import auths

ME = {"username": "me", "password": "s3cr3t"}
HEAD = "apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {name: NAME}\ntype: kubernetes.io/dockerconfigjson\n"


def secret_document(auths: object, name: str = "hub", **more: object) -> str:
    return of(json.dumps(json.dumps({"auths": auths, **more})), name)


def of(value: str, name: str = "hub") -> str:
    return f"{HEAD.replace('NAME', name)}stringData:\n  .dockerconfigjson: {value}\n"


def parsed(*documents: str) -> pipeline.Parsed:
    return pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", "---\n".join(documents).encode())])


def lowered(*documents: str) -> state.DesiredState:
    result = parsed(*documents)
    assert not result.problems
    return pipeline.lower(result, "r1", {})


def printed_problems(*documents: str) -> list[str]:
    return [str(problem).removeprefix("a.yaml:") for problem in parsed(*documents).problems]


def test_secret__in_each_form__is_the_same_login() -> None:
    document = json.dumps({"auths": {"r.example/team": ME}})
    encoded = base64.b64encode(document.encode()).decode()
    expected = (secret.Login("r.example/team", "hub", "me", "s3cr3t"),)
    assert lowered(secret_document({"r.example/team": ME})).logins == expected
    assert lowered(f"{HEAD.replace('NAME', 'hub')}data: {{.dockerconfigjson: {encoded}}}\n").logins == expected
    packed = base64.b64encode(b"me:s3cr3t").decode()
    assert lowered(secret_document({"r.example/team": {"auth": packed}})).logins == expected


def test_secret__of_docker_hub__is_known_by_the_name_that_images_have() -> None:
    logins = lowered(secret_document({"https://index.docker.io/v1/": {"identitytoken": "t0ken"}})).logins
    assert logins == (secret.Login("docker.io", "hub", identity_token="t0ken"),)


def test_secrets__several__are_sorted_and_no_objects() -> None:
    desired = lowered(
        secret_document({"b.example": ME, "a.example": ME}, "one"), secret_document({"c.example": ME}, "two")
    )
    assert [(login.place, login.secret) for login in desired.logins] == [
        *(("a.example", "one"), ("b.example", "one"), ("c.example", "two"))
    ]
    assert list(desired) == []


WAY_OUT = 'write {"auths": {REGISTRY: {"username": …, "password": …}}}'
EMPTY = f"6:3: stringData has a .dockerconfigjson without logins ({WAY_OUT})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            HEAD.replace("kubernetes.io/dockerconfigjson", "kubernetes.io/tls"),
            "4:7: type must be Opaque or kubernetes.io/dockerconfigjson: kubernetes.io/tls is not built yet (see trim",
        ),
        (HEAD, "must have .dockerconfigjson and nothing else (see trimtab explain secret)"),
        (
            f"{HEAD}stringData: {{.dockerconfigjson: '{{}}', password: s3cr3t}}\n",
            "5:13: stringData must have .dockerconfigjson and nothing else (see trimtab explain secret)",
        ),
        (
            f"{HEAD}data: {{.dockerconfigjson: s3cr3t!}}\n",
            "5:27: data has a value of .dockerconfigjson that is not base64: it has a character that is none",
        ),
        (of("s3cr3t"), EMPTY),
        (of("'[\"s3cr3t\"]'"), EMPTY),
        (secret_document({}), EMPTY),
        (
            secret_document({"r.example": "s3cr3t"}),
            "6:3: stringData has no login for r.example (it needs username and password, or auth)",
        ),
        (
            secret_document({"r.example": {"auth": "s3cr3t"}}),
            "6:3: stringData has no login for r.example (it needs username and password, or auth)",
        ),
        (
            secret_document({"r.example": ME}, credsStore="pass"),
            "6:3: stringData names programs that keep logins (write the logins themselves)",
        ),
        (
            f"{HEAD}stringData: s3cr3t\n",
            "5:13: stringData must be a mapping, and is a text (see trimtab explain secret.stringData)",
        ),
        (
            f"{HEAD}stringData: {{.dockerconfigjson: [s3cr3t]}}\n",
            "must be a text, and is a list (see trimtab explain secret.stringData)",
        ),
        (f"{HEAD}spec: {{password: s3cr3t}}\n", "5:1: unknown field spec"),
        (
            f"{HEAD.replace('{name: NAME}', '{name: x, labels: {a: b}}')}",
            "metadata.labels is not built yet (secrets cannot be labelled: leave it out)",
        ),
    ],
)
def test_secret__wrong__is_told_without_its_value(text: str, expected: str) -> None:
    lines = printed_problems(text.replace("NAME", "hub"))
    assert any(expected in line for line in lines), lines
    assert "s3cr3t" not in "".join(lines)


def test_secrets__two_logins_for_one_registry__are_refused() -> None:
    first, second = secret_document({"r.example": ME}, "one"), secret_document({"https://r.example/": ME}, "two")
    assert printed_problems(first, second) == [
        "13:3: a second login for r.example (Secret/one in a.yaml has one: remove one of them)"
    ]


def test_secret__of_either_type__has_what_is_of_the_other_empty() -> None:
    (logins,) = parsed(secret_document({"r.example": ME})).manifests
    assert logins.object.values() == {}
    (opaque,) = parsed("apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {name: x}\nstringData: {a: b}\n").manifests
    assert opaque.object.auths() == auths.Auths({}, {}, "", ())


def test_secret__as_text__shows_no_value() -> None:
    desired = lowered(secret_document({"r.example": ME}))
    (login,) = desired.logins
    (manifest,) = parsed(secret_document({"r.example": ME})).manifests
    assert "s3cr3t" not in f"{desired!r} {login!r} {manifest.object!r}"
    assert (login.hidden().user, login.hidden().password, login.hidden().identity_token) == ("(hidden)", "(hidden)", "")


def test_kinds_that_are_not_built__are_refused_still() -> None:
    assert "Secret" in registry.MODELS
    assert "Secret" not in registry.LATER
