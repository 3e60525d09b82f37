"""References, digests and platforms: one spelling of each, and nothing taken that cannot be asked for."""

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.oci import digest, platform, reference

SHA = "sha256:" + "a" * 64
SHA512 = "sha512:" + "b" * 128

_labels = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
_hosts = st.one_of(
    st.just("docker.io"),
    st.just("index.docker.io"),
    st.just("localhost"),
    st.lists(_labels, min_size=2, max_size=4).map(".".join),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
_ports = st.one_of(st.just(""), st.integers(0, 65535).map(lambda port: f":{port}"))
_parts = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+){0,3}", fullmatch=True)
_names = st.lists(_parts, min_size=1, max_size=4).map("/".join)
_tags = st.one_of(st.just(""), st.from_regex(r":[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", fullmatch=True))
_pins = st.sampled_from(["", f"@{SHA}", f"@{SHA512}"])
_full = st.tuples(_hosts, _ports, st.just("/"), _names).map("".join)
_short = _names.filter(lambda name: "." not in name.partition("/")[0] or "/" not in name)
_references = st.tuples(st.one_of(_full, _short), _tags, _pins).map("".join)


@given(_references)
def test_reference__in_its_canonical_form__means_the_same(text: str) -> None:
    meant = reference.parse(text)
    assert reference.parse(str(meant)) == meant
    assert str(reference.parse(str(meant))) == str(meant)


@given(
    st.one_of(
        st.text(max_size=60), st.text("aA.:/@-_[]0é\n", max_size=20), _references.map(lambda example: example[1:])
    )
)
def test_reference__whatever_is_written__is_canonical_or_refused(text: str) -> None:
    meant = None
    with contextlib.suppress(reference.InvalidReference):
        meant = reference.parse(text)
    assert meant is None or reference.parse(str(meant)) == meant
    assert meant is None or (str(meant).isascii() and str(meant).isprintable())


@pytest.mark.parametrize(
    ("text", "registry", "repository"),
    [
        ("a.b", "docker.io", "library/a.b"),
        ("localhost", "docker.io", "library/localhost"),
        ("index.docker.io/a/b", "docker.io", "a/b"),
        ("docker.io/docker.io/a", "docker.io", "docker.io/a"),
        ("[::1]:5000/a", "[::1]:5000", "a"),
        ("[::ffff:127.0.0.1]/a", "[::ffff:127.0.0.1]", "a"),
        ("EXAMPLE.org:65535/a", "example.org:65535", "a"),
        ("a-b.example/a__b/c--d", "a-b.example", "a__b/c--d"),
    ],
)
def test_reference__registry_and_repository__are_told_apart(text: str, registry: str, repository: str) -> None:
    meant = reference.parse(text)
    assert (meant.registry, meant.repository) == (registry, repository)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("LOCALHOST:5000/team/app:1", "localhost:5000/team/app:1"),
        ("LOCALHOST/app", "localhost/app:latest"),
        ("localhost:80/app", "localhost/app:latest"),
        ("127.0.0.1:80/app", "127.0.0.1/app:latest"),
        ("[::1]:080/app", "[::1]/app:latest"),
        ("localhost:443/app", "localhost:443/app:latest"),
        ("Docker.io/nginx", "docker.io/library/nginx:latest"),
        ("DOCKER.IO:443/a/b", "docker.io/a/b:latest"),
        ("docker.io:0443/nginx", "docker.io/library/nginx:latest"),
        ("registry-1.docker.io/library/nginx", "docker.io/library/nginx:latest"),
        ("registry-1.docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("Registry-1.Docker.io:443/nginx", "docker.io/library/nginx:latest"),
        ("INDEX.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("registry.hub.docker.com/library/nginx", "docker.io/library/nginx:latest"),
        ("docker.io:80/a/b", "docker.io:80/a/b:latest"),
        ("registry-1.docker.io:5000/nginx", "registry-1.docker.io:5000/nginx:latest"),
        ("registry.example:443/app", "registry.example/app:latest"),
        ("registry.example:00443/app", "registry.example/app:latest"),
        ("registry.example:05000/app", "registry.example:5000/app:latest"),
        ("registry.example:80/app", "registry.example:80/app:latest"),
        ("host:443/app", "host:443/app:latest"),
        ("[0:0:0:0:0:0:0:1]:5000/app", "[::1]:5000/app:latest"),
        ("[2001:DB8::0001]:443/app", "[2001:db8::1]/app:latest"),
        ("[::ffff:7f00:1]:5000/app", "[::ffff:127.0.0.1]:5000/app:latest"),
    ],
)
def test_reference__a_registry_in_another_spelling__is_the_same_one(text: str, meant: str) -> None:
    assert str(reference.parse(text)) == meant
    assert str(reference.parse(meant)) == meant


def test_canonical__what_is_no_reference__stays_as_it_is() -> None:
    assert reference.canonical("not a reference") == "not a reference"
    assert reference.canonical("Docker.io/nginx:1") == "docker.io/library/nginx:1"


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("Registry-1.docker.io/library/*", "docker.io/library/*"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("docker.io/*", "docker.io/*"),
        ("REGISTRY.example:0443/Team/*", "registry.example/Team/*"),
        ("*.EXAMPLE/app", "*.example/app"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_pattern__its_registry__is_spelt_as_references_have_it(pattern: str, meant: str) -> None:
    assert reference.canonical_pattern(pattern) == meant


@pytest.mark.parametrize(
    "text",
    [
        "a..b/c",
        ".a/b",
        "a./b",
        "a.io:65536/b",
        "a.io:99999/b",
        "a.io:/b",
        "a.io:-1/b",
        "[:::::]/a",
        "[::1/a",
        "[fe80::1%eth0]/a",
        "[1.2.3.4]/a",
        "-a.io/b",
        "a-.io/b",
        "a_b.io/c",
        "user@host.io/a",
        "user:pass@host.io/a",
        f"{'a' * 64}.io/b",
        f"{'a.' * 127}io/b",
        "a.io/b\n",
        "a.io/b:c\n",
        "a.io/../b",
        "a.io/b?c",
        "a.io/b#c",
        "a.io/b:é",
        "é.io/b",
        f"a@{SHA}@{SHA}",
        f"a@{SHA.upper()}",
    ],
)
def test_reference__that_nobody_could_be_asked_for__is_refused(text: str) -> None:
    with pytest.raises(reference.InvalidReference):
        reference.parse(text)


def test_reference__refused__shows_no_more_of_it_than_is_needed() -> None:
    with pytest.raises(reference.InvalidReference) as caught:
        reference.parse("a.io/" + "X" * 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_digest__of_either_algorithm__matches_its_bytes_alone(algorithm: str) -> None:
    text = f"{algorithm}:{hashlib.new(algorithm, b'x').hexdigest()}"
    assert digest.matches(text, b"x")
    assert not digest.matches(text, b"y")


@pytest.mark.parametrize("text", ["", "sha256:", "md5:9dd4e461268c8034f5c8564e155c67a6", f"{SHA}\n", f" {SHA}"])
def test_digest__that_is_none__matches_nothing(text: str) -> None:
    with pytest.raises(digest.InvalidDigest):
        digest.matches(text, b"x")


@given(st.one_of(st.text(max_size=200), st.from_regex(r"sha(256|512):[0-9a-f]{64}([0-9a-f]{64})?\n?")))
def test_digest__whatever_is_written__is_split_or_refused(text: str) -> None:
    parts = None
    with contextlib.suppress(digest.InvalidDigest):
        parts = digest.parse(text)
    assert parts is None or ":".join(parts) == text


@pytest.mark.parametrize(
    ("requested", "offered", "chosen"),
    [
        ("linux/arm64", ["linux/amd64", "linux/arm64/v8"], 1),
        ("linux/arm64/v8", ["linux/amd64", "linux/arm64"], 1),
        ("linux/arm64", ["linux/arm64/v8", "linux/arm64"], 1),
        ("linux/arm64", ["linux/arm64/v9"], None),
        ("linux/arm", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/arm", ["linux/arm/v5"], 0),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm"], 1),
        ("linux/arm/v7", ["linux/arm64/v8"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v3"], 1),
        ("linux/amd64/v3", ["linux/amd64"], 0),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64", ["linux/arm64", "linux/amd64/v1"], 1),
        ("linux/amd64", ["linux/amd64/v1", "linux/amd64"], 1),
        ("linux/amd64/v1", ["linux/amd64"], 0),
        ("linux/amd64/v3", ["linux/amd64/v1", "linux/amd64/v2"], 1),
        ("linux/x86_64", ["linux/amd64"], 0),
        ("linux/amd64", ["Linux/X86_64"], 0),
        ("linux/aarch64", ["linux/arm64"], 0),
        ("linux/arm/v8", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/arm/v5", ["linux/arm/v6", "linux/arm/v5"], 1),
        ("linux/amd64", ["windows/amd64", "linux/amd64", "linux/amd64"], 1),
        ("linux/amd64", ["unknown/unknown"], None),
        ("linux/amd64", [], None),
    ],
)
def test_platform__with_variants__is_one_that_the_machine_can_run(
    requested: str, offered: list[str], chosen: int | None
) -> None:
    assert platform.choose(platform.parse(requested), [platform.parse(text) for text in offered]) == chosen


@pytest.mark.parametrize("text", ["", "/", "linux/", "/amd64", "linux//v7", "linux/arm/v7/x"])
def test_platform__that_is_none__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no platform"):
        platform.parse(text)


@pytest.mark.parametrize(
    ("machine", "meant"),
    [
        *(("aarch64", "linux/arm64/v8"), ("armv7l", "linux/arm/v7"), ("armv6l", "linux/arm/v6"), ("i686", "linux/386")),
        *(("armv8l", "linux/arm/v8"), ("armv5tel", "linux/arm/v5"), ("armv5tejl", "linux/arm/v5")),
        *(("i386", "linux/386"), ("riscv64", "linux/riscv64"), ("loongarch64", "linux/loong64")),
    ],
)
def test_platform__of_a_machine__is_in_gos_words(machine: str, meant: str) -> None:
    assert str(platform.of_machine(machine)) == meant
