"""Values that may be secrets stand in no problem: problems are logged, stored and shown by ``status``."""

import pytest

from agent.manifests import pipeline
from agent.manifests.lowering import draft

WRONG_REFERENCE = (
    "a.yaml:4:31: spec.env.TOKEN must be a text, number or true/false, or {secret: NAME, key: KEY} "
    "(quote it where it is meant as a text)"
)
HEAD = "apiVersion: trimtab.dev/v1\nkind: Container\nmetadata: {name: web}\n"


def printed_problems(spec: str) -> list[str]:
    """Parse a container and give its problems as they print."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/srv", f"{HEAD}spec: {spec}\n".encode())])
    return [str(problem) for problem in parsed.problems]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "{image: x, env: {TOKEN: [s3cr3t]}}",
            (
                "a.yaml:4:31: spec.env.TOKEN must be a text, number or true/false, or {secret: NAME, key: KEY}, "
                "and is a list "
                "(see trimtab explain container.spec.env)"
            ),
        ),
        (
            "{image: x, env: {TOKEN: {s3cr3t}}}",
            WRONG_REFERENCE,
        ),
        (
            "{image: x, env: {TOKEN: {secret: a, key: b, s3cr3t: c}}}",
            ("a.yaml:4:51: spec.env.TOKEN must be a text, number or true/false (quote it where it is meant as a text)"),
        ),
        (
            "{image: x, env: {TOKEN: {s3cr3t: x}}}",
            WRONG_REFERENCE,
        ),
        (
            "{image: x, env: {TOKEN: {key: s3cr3t}}}",
            WRONG_REFERENCE,
        ),
        (
            "{image: x, env: [TOKEN=s3cr3t]}",
            "a.yaml:4:23: spec.env must be a mapping, and is a list (did you mean env: {NAME: VALUE}?)",
        ),
        (
            "{image: x, env: TOKEN=s3cr3t}",
            "a.yaml:4:23: spec.env must be a mapping, and is a text (did you mean env: {NAME: VALUE}?)",
        ),
        (
            "{image: x, env: {TOKEN=s3cr3t: ''}}",
            "a.yaml:4:24: a name in spec.env must be a name without =, like TZ, and is a text (write NAME: value)",
        ),
        (
            "{image: x, command: s3cr3t}",
            (
                "a.yaml:4:27: spec.command must be a list, and is a text "
                '(write each word by itself, like ["sh", "-c", "COMMAND"])'
            ),
        ),
        (
            "{image: x, args: [[s3cr3t]]}",
            "a.yaml:4:25: spec.args[0] must be a text, and is a list (see trimtab explain container.spec.args)",
        ),
        (
            "{image: x, args: [1337]}",
            (
                "a.yaml:4:25: spec.args[0] must be a text: quote it, and is a number, true or false "
                "(see trimtab explain container.spec.args)"
            ),
        ),
        (
            "{image: x, health: {liveness: {exec: s3cr3t}}}",
            (
                "a.yaml:4:44: spec.health.liveness.exec must be a list, and is a text "
                "(see trimtab explain container.spec.health.liveness.exec)"
            ),
        ),
        (
            "{image: x, health: {liveness: {http: {port: 1, headers: {Authorization: [s3cr3t]}}}}}",
            (
                "a.yaml:4:79: spec.health.liveness.http.headers.Authorization must be a text, and is a list "
                "(see trimtab explain container.spec.health.liveness.http.headers)"
            ),
        ),
        (
            '{image: x, health: {liveness: {http: {port: 1, headers: {Authorization: "s3cr3t\\n"}}}}}',
            (
                "a.yaml:4:79: spec.health.liveness.http.headers.Authorization must be a line without control "
                "characters, and is a text (see trimtab explain container.spec.health.liveness.http.headers)"
            ),
        ),
        (
            "[{env: {TOKEN: s3cr3t}}]",
            "a.yaml:4:7: spec must be a mapping, and is a list (see trimtab explain container.spec)",
        ),
        (
            "{image: x, mounts: {env: {TOKEN: s3cr3t}}}",
            "a.yaml:4:26: spec.mounts must be a list, and is a mapping (see trimtab explain container.spec.mounts)",
        ),
        (
            "{image: x, env: {TOKEN: !s3cr3t }}",
            (
                "a.yaml:4:31: what begins with ! is a tag, and none is supported "
                "(quote it where it is meant as a text, as a password may be; leave it out otherwise)"
            ),
        ),
        (
            "{image: x, env: {TOKEN: *s3cr3t}}",
            (
                "a.yaml:4:31: this is not YAML: found undefined alias "
                "(what begins with * is an alias: quote it where it is meant as a text)"
            ),
        ),
    ],
)
def test_value_that_may_be_secret__is_wrong__is_told_without_it(spec: str, expected: str) -> None:
    assert printed_problems(spec) == [expected]


def test_name_with_the_value_in_it__is_in_no_path() -> None:
    lines = printed_problems("{image: x, env: {TOKEN=s3cr3t}}")
    assert [line.split(" must ")[0] for line in lines] == ["a.yaml:4:24: a name in spec.env", "a.yaml:4:36: spec.env"]
    assert "s3cr3t" not in "".join(lines)


def test_name_with_the_value_in_it__nothing_below_it_is_in_a_path_either() -> None:
    lines = printed_problems("{image: x, env: {TOKEN=s3cr3t: {secret: a, key: 5}}}")
    assert [line.split(" must ")[0] for line in lines] == ["a.yaml:4:24: a name in spec.env", "a.yaml:4:55: spec.env"]


def test_value_elsewhere__is_shown_as_it_wwithout_secrets() -> None:
    assert printed_problems("{image: x, hostname: ~}")[0].startswith(
        "a.yaml:4:28: spec.hostname must be a text, and is null ("
    )
    assert "spec.hostname must be a text: quote it, and is 1.10 (" in printed_problems("{image: x, hostname: 1.10}")[0]
    assert "must be true or false, and is 'yes' (" in printed_problems("{image: x, security: {readOnlyRootfs: yes}}")[0]
    assert "spec.hostname must be a text: quote it, and is true (" in printed_problems("{image: x, hostname: true}")[0]


def test_key_of_the_host__is_printed_by_nothing_that_carries_it() -> None:
    options = pipeline.ParseOptions(host_key=b"k3y")
    carriers = (options, pipeline.parse((), options), draft.Draft({}, "registry.example", b"k3y"))
    assert [carrier.host_key for carrier in carriers] == [b"k3y"] * 3
    assert "k3y" not in repr(carriers)
