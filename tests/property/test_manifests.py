"""Whatever bytes a source holds, parsing ends, raises nothing, and gives every problem a place.

No value that may be a secret stands in a problem, and a variable is the text that was written.
"""

import json
import re

import hypothesis
from hypothesis import strategies as st

from agent.manifests import pipeline

SOUND = b"""apiVersion: trimtab.dev/v1
kind: Container
metadata: {name: web, labels: {a: b}}
spec:
  image: nginx:1.27
  command: [nginx, "-g"]
  env: {A: "1"}
  ports: ["127.0.0.1:8080:80/tcp"]
  mounts: [{tmpfs: 64Mi, path: /tmp}]
  health: {readiness: {tcp: {port: 80}, period: 5s}}
"""
TOKENS = st.sampled_from(
    [b":", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!!x ", b"\t", b"\n", b"'", b'"', b"---\n", b"<<: "]
)


def assert_sound_or_refused(data: bytes) -> None:
    """Parse, and lower what is sound."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/", data)])
    lines = data.count(b"\n") + data.count(b"\r") + 10
    for problem in parsed.problems:
        assert 1 <= problem.line <= lines * 2 + 2
        assert problem.column >= 1
        assert problem.message
    if not parsed.problems:
        first = pipeline.lower(parsed, "r", {})
        assert first == pipeline.lower(parsed, "r", {})


@hypothesis.given(data=st.binary(max_size=200))
def test_any_bytes__parse_or_are_told(data: bytes) -> None:
    assert_sound_or_refused(data)


@hypothesis.given(text=st.text(max_size=200))
def test_any_text__parses_or_is_told(text: str) -> None:
    assert_sound_or_refused(text.encode("utf-8", "surrogatepass"))


@hypothesis.given(edits=st.lists(st.tuples(st.integers(0, len(SOUND)), TOKENS), max_size=6))
def test_sound_manifest_with_accidents__parses_or_is_told(edits: list[tuple[int, bytes]]) -> None:
    data = SOUND
    for position, token in edits:
        data = data[:position] + token + data[position:]
    assert_sound_or_refused(data)


@hypothesis.given(start=st.integers(0, len(SOUND)), length=st.integers(0, 60))
def test_sound_manifest_with_a_hole__parses_or_is_told(start: int, length: int) -> None:
    assert_sound_or_refused(SOUND[:start] + SOUND[start + length :])


SECRET = "s3cr3t"
SECRETS = st.recursive(
    st.sampled_from([SECRET, f"{SECRET}\0", f"{SECRET}\n", f"A={SECRET}", None, 1, True]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["A", "secret", "key", f"A={SECRET}", SECRET]), inner, max_size=2)
    ),
    max_leaves=4,
)


@hypothesis.given(
    env=SECRETS,
    headers=SECRETS,
    words=st.tuples(SECRETS, SECRETS, SECRETS),
    around=st.sampled_from(["mapping", "list"]),
)
def test_values_that_may_be_secrets__stand_in_no_problem(
    env: object, headers: object, words: tuple[object, object, object], around: str
) -> None:
    command, args, probe = words
    health = {"liveness": {"http": {"port": 1, "headers": headers}}, "startup": {"exec": probe}}
    spec = {"image": "x", "env": env, "command": command, "args": args, "health": health}
    document = {
        "apiVersion": "trimtab.dev/v1",
        "kind": "Container",
        "metadata": {"name": "web"},
        "spec": spec if around == "mapping" else [spec],
    }
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/", json.dumps(document).encode())])
    lines = [re.sub(rf"(env|headers)\.{SECRET}(?=[ .])", "", str(problem)) for problem in parsed.problems]
    assert [line for line in lines if SECRET in line] == [], "a name may be told, and nothing else"


NUMBERS = st.from_regex(
    r"[-+]?([0-9]{1,20}|[0-9]{0,6}\.[0-9]{1,6}|0x[0-9a-fA-F]{1,6}|0o[0-7]{1,6})([eE][-+]?[0-9]{1,2})?", fullmatch=True
)


@hypothesis.given(text=NUMBERS | st.sampled_from(["true", "false", "no", "1.10", "1e3", ".5", "5."]))
def test_number_as_a_variable__is_the_text_that_was_written(text: str) -> None:
    data = SOUND.replace(b'"1"', text.encode())
    lowered = pipeline.lower(pipeline.parse([pipeline.ManifestFile("a.yaml", "/", data)]), "r", {})
    assert lowered.containers[0].env == (("A", text),)
