"""Where registries are asked, and how they are spoken to there."""

import pathlib

import pytest

from agent.distribution.registry import hosts, transport

OWN = transport.Tls(pathlib.Path("/etc/own-ca.pem"))
REPOSITORY = "library/nginx"


def _urls(places: hosts.Hosts, registry: str) -> list[str]:
    return [str(endpoint.url(REPOSITORY, "manifests/1")) for endpoint in places.endpoints(registry)]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("registry.example:5000", "https://registry.example:5000"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.8.8.8", "http://127.8.8.8"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("[::2]:5000", "https://[::2]:5000"),
        ("127.0.0.1.example", "https://127.0.0.1.example"),
        ("localhost.example", "https://localhost.example"),
    ],
)
def test_registry__that_nothing_is_said_of__is_asked_over_plain_http_on_this_host_alone(name: str, url: str) -> None:
    registry = hosts.Hosts().itself(name)
    assert (str(registry.origin), registry.login, registry.tls, registry.mirror) == (
        url,
        name,
        transport.TRUSTED,
        False,
    )
    assert hosts.Hosts().endpoints(name) == (registry,)


@pytest.mark.parametrize(
    ("host_config", "name", "url"),
    [
        (hosts.Host("registry.example", plain_http=True), "registry.example", "http://registry.example"),
        (hosts.Host("*.example", plain_http=True), "registry.example", "http://registry.example"),
        (hosts.Host("*.example", plain_http=True), "registry.example.org", "https://registry.example.org"),
        (hosts.Host("registry.example", plain_http=True), "REGISTRY.EXAMPLE", "http://REGISTRY.EXAMPLE"),
        (hosts.Host("*.EXAMPLE", plain_http=True), "registry.example", "http://registry.example"),
        (hosts.Host("index.docker.io", plain_http=True), "docker.io", "http://registry-1.docker.io"),
        (hosts.Host("registry.example", plain_http=True), "registry.example:5000", "https://registry.example:5000"),
        (hosts.Host("docker.io", plain_http=True), "docker.io", "http://registry-1.docker.io"),
        (hosts.Host("localhost:5000", tls=OWN), "localhost:5000", "https://localhost:5000"),
        (hosts.Host("[::1]:5000", tls=OWN), "[::1]:5000", "https://[::1]:5000"),
    ],
)
def test_registry__that_something_is_said_of__is_asked_so(host_config: hosts.Host, name: str, url: str) -> None:
    registry = hosts.Hosts((host_config,)).itself(name)
    assert str(registry.origin).lower() == url.lower()
    assert registry.tls == (OWN if host_config.tls == OWN else transport.TRUSTED)


def test_registry__named_and_matched_by_a_pattern__is_what_its_name_says() -> None:
    places = hosts.Hosts((hosts.Host("*.example", mirrors=("https://m.example",)), hosts.Host("r.example", tls=OWN)))
    assert [endpoint.tls for endpoint in places.endpoints("r.example")] == [OWN]
    assert len(places.endpoints("other.example")) == 2


def test_mirrors__are_asked_in_order_and_before_the_registry_itself() -> None:
    places = hosts.Hosts((hosts.Host("docker.io", ("https://one.example/hub/", "http://two.example:5000")),))
    assert _urls(places, "docker.io") == [
        "https://one.example/v2/hub/library/nginx/manifests/1",
        "http://two.example:5000/v2/library/nginx/manifests/1",
        "https://registry-1.docker.io/v2/library/nginx/manifests/1",
    ]
    endpoints = places.endpoints("docker.io")
    assert [endpoint.mirror for endpoint in endpoints] == [True, True, False]
    assert [endpoint.login for endpoint in endpoints] == ["one.example", "two.example:5000", "docker.io"]
    assert places.itself("docker.io") == endpoints[-1]


def test_mirror__is_spoken_to_as_is_said_of_it_and_not_as_of_whom_it_stands_for() -> None:
    host_configs = (
        hosts.Host("r.example", ("https://m.example", "https://n.example"), tls=OWN),
        hosts.Host("n.example", tls=transport.Tls(pathlib.Path("/etc/other-ca.pem"))),
    )
    endpoints = hosts.Hosts(host_configs).endpoints("r.example")
    assert [endpoint.tls.ca and endpoint.tls.ca.name for endpoint in endpoints] == [None, "other-ca.pem", "own-ca.pem"]


@pytest.mark.parametrize("text", ["https://m.example", "http://m.example:5000/prefix", "https://[::1]:5000"])
def test_mirror_problem__address__is_none(text: str) -> None:
    assert hosts.mirror_problem(text) == ""


@pytest.mark.parametrize(
    "text", ["", "m.example", "ftp://m.example", "https://", "https://m.example:99999", "https://["]
)
def test_mirror_problem__anything_else__is_told(text: str) -> None:
    assert hosts.mirror_problem(text) == "write https://HOST[:PORT][/PREFIX]"
