"""Equal values of one reference have equal fingerprints on a host; any change of them, or another host, has another."""

import hypothesis
from hypothesis import strategies as st

from agent.model import secret

TRIPLES = st.tuples(st.text(max_size=8), st.text(max_size=8), st.binary(max_size=16))
KEYS = st.binary(min_size=32, max_size=32)


@hypothesis.given(key=KEYS, first=TRIPLES, second=TRIPLES, share=st.booleans())
def test_fingerprints__are_equal_where_reference_and_value_are__and_only_there(key, first, second, share: bool) -> None:
    other = first if share else second
    assert (secret.fingerprint(key, *first) == secret.fingerprint(key, *other)) == (first == other)


@hypothesis.given(first=KEYS, second=KEYS, triple=TRIPLES)
def test_fingerprints__of_two_hosts__cannot_be_compared(first: bytes, second: bytes, triple) -> None:
    assert (secret.fingerprint(first, *triple) == secret.fingerprint(second, *triple)) == (first == second)


@hypothesis.given(key=KEYS, name=st.text(max_size=8), whole=st.text(max_size=12), at=st.integers(0, 12))
def test_fingerprints__parts_that_join_to_the_same_text__differ(key: bytes, name: str, whole: str, at: int) -> None:
    split = secret.fingerprint(key, name + whole[:at], whole[at:], b"v")
    assert (split == secret.fingerprint(key, name, whole, b"v")) == (not whole[:at])
