"""What registries challenge us with (RFC 9110, ``WWW-Authenticate``)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.distribution.registry import credentials


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ('Basic realm="x"', ("basic", "x", "", "")),
        ("BASIC realm=x", ("basic", "x", "", "")),
        ("basic", ("basic", "", "", "")),
        (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
            ("bearer", "https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push"),
        ),
        ('bearer  Realm = "r" , SERVICE=s', ("bearer", "r", "s", "")),
        ('Bearer realm="first", Basic realm="second"', ("bearer", "first", "", "")),
        ('Bearer error="invalid_token",realm="r"', ("bearer", "r", "", "")),
        ('Bearer x-realm="other", realm="r", error-service=e, service="s"', ("bearer", "r", "s", "")),
        (r'Basic realm="a \"quoted\" \\ realm"', ("basic", r'a "quoted" \ realm', "", "")),
        ('Bearer realm="never closed', ("bearer", "", "", "")),
    ],
)
def test_challenge__that_we_know__is_read(header: str, meant: tuple[str, str, str, str]) -> None:
    assert credentials.challenge(header) == credentials.Challenge(*meant)


@pytest.mark.parametrize("header", ["", " ", "Negotiate", 'Digest realm="x"', "Bearerrealm=x", 'realm="x"'])
def test_challenge__that_we_do_not_know__is_none(header: str) -> None:
    assert credentials.challenge(header) is None


@given(st.text(max_size=200))
def test_challenge__whatever_it_says__is_read_or_none(text: str) -> None:
    read = credentials.challenge(f"Bearer {text}")
    assert read is not None
    assert read.scheme == "bearer"
