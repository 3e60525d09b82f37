"""Values of Secrets in env: declared, checked with their places, lowered to fingerprints."""

import base64

import pytest
import yaml

from agent.manifests import pipeline, write
from agent.model import external_input, secret

KEY = b"k" * 32
OPAQUE = "apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {name: db}\n"
WEB = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\nspec: {image: x, env: %s}\n"
LOGINS = (
    "apiVersion: trimtab.dev/v1\nkind: Secret\nmetadata: {name: hub}\ntype: kubernetes.io/dockerconfigjson\n"
    'stringData: {.dockerconfigjson: \'{"auths": {"r.example": {"username": "a", "password": "b"}}}\'}\n'
)


def parsed(*documents: str, key: bytes = KEY) -> pipeline.Parsed:
    """Parse documents of one file."""
    file = pipeline.ManifestFile("a.yaml", "/srv", "---\n".join(documents).encode())
    return pipeline.parse([file], pipeline.ParseOptions(host_key=key))


def printed_problems(*documents: str) -> list[str]:
    """Return the problems of documents of one file, without its name."""
    return [str(problem).removeprefix("a.yaml:") for problem in parsed(*documents).problems]


def test_reference__is_lowered_to_a_fingerprint__and_the_value_stands_apart() -> None:
    result = parsed(
        WEB % "{USER: me, PASSWORD: {secret: db, key: password}}",
        OPAQUE + "stringData: {password: s3cr3t, unused: other}\n",
    )
    assert result.problems == ()
    desired = pipeline.lower(result, "r1", {})
    (container,) = desired.containers
    fingerprint = secret.fingerprint(KEY, "db", "password", b"s3cr3t")
    assert container.env == (("USER", "me"),)
    assert container.secret_env == (secret.SecretVariable("PASSWORD", "db", "password", fingerprint),)
    assert desired.secrets == (secret.SecretValue("db", "password", fingerprint, b"s3cr3t"),)
    assert "s3cr3t" not in f"{desired!r} {[manifest.object for manifest in result.manifests]!r}"


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ("stringData: {password: s3cr3t}", b"s3cr3t"),
        (f"data: {{password: {base64.b64encode(b's3cr3t').decode()}}}", b"s3cr3t"),
        ('data: {password: "czNj\\ncjN0"}', b"s3cr3t"),
        ("type: Opaque\ndata: {password: YQ==}\nstringData: {password: wins}", b"wins"),
    ],
)
def test_secret__in_each_form__has_the_value(fields: str, value: bytes) -> None:
    result = parsed(WEB % "{PASSWORD: {secret: db, key: password}}", f"{OPAQUE}{fields}\n")
    assert [entry.value for entry in pipeline.lower(result, "r1", {}).secrets] == [value]


def test_rotated_value__is_another_desired_state__and_the_same_one_is_the_same() -> None:
    def lowered(password: str) -> object:
        documents = (WEB % "{P: {secret: db, key: password}}", f"{OPAQUE}stringData: {{password: {password}}}\n")
        return pipeline.lower(parsed(*documents), "r1", {}).containers

    assert lowered("one") == lowered("one")
    assert lowered("one") != lowered("two")


def test_reference__without_a_key_of_the_host__has_no_fingerprint() -> None:
    documents = (WEB % "{P: {secret: db, key: password}}", f"{OPAQUE}stringData: {{password: s3cr3t}}\n")
    desired = pipeline.lower(parsed(*documents, key=b""), "r1", {})
    assert desired.containers[0].secret_env[0].fingerprint == ""
    assert pipeline.ParseOptions().host_key == b"", "nobody has a key by default"


def test_reference__wins_over_an_env_file() -> None:
    text = WEB.replace("spec: {", "spec: {envFile: [a.env], ") % "{P: {secret: db, key: password}}"
    result = parsed(text, f"{OPAQUE}stringData: {{password: s3cr3t}}\n")
    states = {external: external_input.InputState("1", b"P=file\nQ=file\n") for external in result.inputs}
    (container,) = pipeline.lower(result, "r1", states).containers
    assert (container.env, [variable.name for variable in container.secret_env]) == ((("Q", "file"),), ["P"])


@pytest.mark.parametrize(
    ("env", "documents", "expected"),
    [
        (
            "{P: {secret: dv, key: password}}",
            (f"{OPAQUE}stringData: {{password: s3cr3t}}\n",),
            "4:36: Secret/dv is not declared (declared are db)",
        ),
        (
            "{P: {secret: db, key: password}}",
            (),
            "4:36: Secret/db is not declared (declare a Secret of type Opaque)",
        ),
        (
            "{P: {secret: db, key: pasword}}",
            (f"{OPAQUE}stringData: {{password: s3cr3t}}\n",),
            "4:45: Secret/db has no value of pasword (did you mean password?)",
        ),
        (
            "{P: {secret: hub, key: .dockerconfigjson}}",
            (LOGINS,),
            "4:36: Secret/hub has logins of registries, which are not given to containers (name one of type Opaque)",
        ),
        (
            "{P: {secret: db, key: password}}",
            (f"{OPAQUE}data: {{password: {base64.b64encode(bytes([0, 255])).decode()}}}\n",),
            "4:45: Secret/db has a value of password that is no text: no variable can have it (correct it)",
        ),
        ("{P: {secret: db}}", (), "4:27: spec.env.P.key is missing (see trimtab explain container.spec.env)"),
    ],
)
def test_reference__that_leads_nowhere__is_a_problem_at_its_place(
    env: str, documents: tuple[str, ...], expected: str
) -> None:
    assert printed_problems(WEB % env, *documents) == [expected]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", "1:1: stringData has no values (write stringData: {password: …})"),
        (
            "data: {password: s3cr3t!}",
            (
                "4:18: data has a value of password that is not base64: it has a character that is none of base64's"
                " (write the text itself to stringData, or encode it: printf %s TEXT | base64 -w0)"
            ),
        ),
        ("stringData: {'pass word': s3cr3t}", "a name in stringData must be a name of letters, digits, dots, dashes"),
        ("stringData: {password: 12345}", "stringData.password must be a text: quote it, and is a number"),
        ("type: kubernetes.io/tls\nstringData: {a: s3cr3t}", "must be Opaque or kubernetes.io/dockerconfigjson"),
        (f"stringData: {{a: {'s3cr3t' * 200_000}}}", "stringData has values of 1.1 MiB, the limit is 1 MiB"),
    ],
)
def test_secret__wrong__is_told_without_its_value(fields: str, expected: str) -> None:
    lines = printed_problems(f"{OPAQUE}{fields}\n")
    assert any(expected in line for line in lines), lines
    assert "s3cr3t" not in "".join(lines)
    assert "12345" not in "".join(lines)


def test_config__with_references__is_written_as_a_manifest_without_the_value() -> None:
    documents = (WEB % "{A: plain, P: {secret: db, key: password}}", f"{OPAQUE}stringData: {{password: s3cr3t}}\n")
    desired = pipeline.lower(parsed(*documents), "r1", {})
    manifest = write.container_manifest(desired.containers[0])
    assert manifest["spec"]["env"] == {"A": "plain", "P": {"secret": "db", "key": "password"}}
    text = write.text([manifest])
    again = pipeline.lower(parsed(text, documents[1]), "r1", {})
    assert yaml.safe_load(text) == manifest
    assert again.containers == desired.containers


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("czNjcjN0cw", "it ends with no =, and 2 would be right"),
        ("czNjcjN0cw=", "it ends with 1 =, and 2 would be right"),
        ("czNjcjN0cw===", "it ends with 3 =, and 2 would be right"),
        ("czNjcjN0czE", "it ends with no =, and 1 would be right"),
        ("czNjcjN0=", "it ends with 1 =, and none would be right"),
        ("czNjcjN0c", "something of it is missing"),
        ("czNjcjN0X", "something of it is missing"),
        ("czNj=jN0", "it has = before its end"),
        ("YQ==YQ==", "it has = before its end"),
        ("====", "it ends with 4 =, and none would be right"),
        ("czNj_j-0", "it is in the form for URLs, which has - and _ for + and /"),
        ("s3cr3t pass-word!", "it has a character that is none of base64's"),
        ("s3cr\u00e9t", "it has a character that is none of base64's"),
    ],
)
def test_data__that_is_no_base64__names_key_and_fault_and_shows_nothing(value: str, fault: str) -> None:
    (line,) = printed_problems(f"{OPAQUE}data:\n  good: YQ==\n  token: '{value}'\n")
    assert line.startswith(f"6:10: data has a value of token that is not base64: {fault} (")
    assert value not in line


def test_logins__in_base64_that_goes_over_lines__are_read_as_other_values_are() -> None:
    encoded = base64.encodebytes(b'{"auths": {"r.example": {"username": "a", "password": "%s"}}}' % (b"b" * 90))
    assert encoded.count(b"\n") > 1
    lines = "".join(f"    {line}\n" for line in encoded.decode().splitlines())
    text = LOGINS.partition("stringData")[0] + "data:\n  .dockerconfigjson: |\n" + lines
    result = parsed(text)
    assert result.problems == ()
    assert [login.password for login in pipeline.lower(result, "r1", {}).logins] == ["b" * 90]
