"""Whatever bytes a source holds, parsing ends, raises nothing, and gives every problem a place."""

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


def check(data: bytes) -> None:
    """Parse, and lower what is sound."""
    parsed = pipeline.parse([pipeline.ManifestFile("a.yaml", "/", data)])
    lines = data.count(b"\n") + data.count(b"\r") + 10
    for one in parsed.problems:
        assert 1 <= one.line <= lines * 2 + 2
        assert one.column >= 1
        assert one.message
    if not parsed.problems:
        first = pipeline.lower(parsed, "r", {})
        assert first == pipeline.lower(parsed, "r", {})


@hypothesis.given(data=st.binary(max_size=200))
def test_any_bytes__parse_or_are_told(data: bytes) -> None:
    check(data)


@hypothesis.given(text=st.text(max_size=200))
def test_any_text__parses_or_is_told(text: str) -> None:
    check(text.encode("utf-8", "surrogatepass"))


@hypothesis.given(edits=st.lists(st.tuples(st.integers(0, len(SOUND)), TOKENS), max_size=6))
def test_sound_manifest_with_accidents__parses_or_is_told(edits: list[tuple[int, bytes]]) -> None:
    data = SOUND
    for position, token in edits:
        data = data[:position] + token + data[position:]
    check(data)


@hypothesis.given(start=st.integers(0, len(SOUND)), length=st.integers(0, 60))
def test_sound_manifest_with_a_hole__parses_or_is_told(start: int, length: int) -> None:
    check(SOUND[:start] + SOUND[start + length :])
