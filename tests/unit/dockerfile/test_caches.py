"""How caches in a registry are named."""

import pytest

from agent.dockerfile import caches

REFERENCES = [
    ("registry.example/app:cache", "registry.example/app:cache"),
    ("type=registry,ref=registry.example/app:cache", "registry.example/app:cache"),
    ("ref=a:1, type=registry", "a:1"),
]


@pytest.mark.parametrize(("text", "expected"), REFERENCES)
def test_source__is_a_reference(text: str, expected: str) -> None:
    assert caches.source(text) == expected
    assert caches.target(text) == caches.CacheTarget(expected)


@pytest.mark.parametrize(("mode", "is_whole"), [("min", False), ("max", True)])
def test_target__with_a_mode__is_of_the_target_or_of_all(mode: str, *, is_whole: bool) -> None:
    assert caches.target(f"type=registry,ref=a:1,mode={mode}") == caches.CacheTarget("a:1", is_whole=is_whole)
    assert caches.source(f"type=registry,ref=a:1,mode={mode}") == "a:1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "it names no reference"),
        ("type=registry", "it names no reference"),
        ("type=gha", "type=gha is not built: a cache lies in a registry"),
        ("type=local,src=/x", "type=local is not built"),
        ("type=other,ref=a", "type=other is not known"),
        ("type=registry,ref=a,compression=zstd", "compression is not known"),
    ],
)
def test_source_and_target__of_another_kind__are_refused(text: str, expected: str) -> None:
    for read in (caches.source, caches.target):
        with pytest.raises(ValueError, match=expected):
            read(text)


def test_target__mode_that_is_none__is_refused() -> None:
    with pytest.raises(ValueError, match="mode=most is none of min and max"):
        caches.target("type=registry,ref=a,mode=most")
