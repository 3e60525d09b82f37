"""Claims on host ports."""

import errno
import multiprocessing
import pathlib
import socket
from collections.abc import Iterator

import pytest

from agent import errors
from agent.engine.network import ports
from agent.engine.spec import container as container_spec
from tests import addressing, hostports

HERE = "127.0.0.1"


@pytest.fixture
def claims() -> Iterator[ports.Claims]:
    """Claims that are given back."""
    ports_claimed = ports.Claims()
    yield ports_claimed
    ports_claimed.close()


def tcp(port: int, address: str = HERE) -> container_spec.Port:
    """Publish a TCP port."""
    return addressing.port(address, port, 80, "tcp")


def udp(port: int, address: str = HERE) -> container_spec.Port:
    """Publish a UDP port."""
    return addressing.port(address, port, 80, "udp")


def refused(claims: ports.Claims, *requested: container_spec.Port) -> errors.Conflict:
    """Claim ports that cannot be had and give the error."""
    with pytest.raises(errors.Conflict) as caught:
        claims.claim("late", requested)
    return caught.value


def test_claim__made__nobody_else_can_have_the_port_until_it_is_given_back(claims: ports.Claims) -> None:
    port = hostports.free_port()
    claims.claim("web", [tcp(port), udp(port)])
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as other, pytest.raises(OSError, match="in use") as caught:
            other.bind((HERE, port))
        assert caught.value.errno == errno.EADDRINUSE
    claims.release("web")
    with socket.create_server((HERE, port)), socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind((HERE, port))
        assert other.getsockname() == (HERE, port)


@pytest.mark.parametrize("address", [HERE, "0.0.0.0"])
def test_claim__made__keeps_servers_out_that_would_share_the_port(claims: ports.Claims, address: str) -> None:
    port = hostports.free_port()
    claims.claim("web", [tcp(port)])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):  # noqa: PT012 - bind or listen: which of them, is the kernel's choice
            other.bind((address, port))
            other.listen()


def test_claim__made__a_connection_is_refused_and_not_left_waiting(claims: ports.Claims) -> None:
    port = hostports.free_port()
    claims.claim("web", [tcp(port)])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HERE, port), timeout=5)


def test_claim__of_another_container__conflict(claims: ports.Claims) -> None:
    port = hostports.free_port()
    claims.claim("web", [tcp(port), udp(port)])
    for requested in (tcp(port), udp(port), tcp(port, "0.0.0.0"), udp(port, "0.0.0.0")):
        assert refused(claims, requested).reason == "PortInUse"
    claims.claim("other", [tcp(port, "127.0.0.2"), udp(port, "127.0.0.2")])


def test_claim__of_the_same_container__is_made_anew(claims: ports.Claims) -> None:
    port = hostports.free_port()
    claims.claim("web", [tcp(port)])
    claims.claim("web", [tcp(port), udp(port)])
    claims.release("web")
    claims.release("web")
    claims.claim("other", [tcp(port), udp(port)])
    assert refused(claims, tcp(port)).reason == "PortInUse"


def test_claim__one_port_is_taken__none_is_held(claims: ports.Claims) -> None:
    free, taken = hostports.free_port(), hostports.free_port()
    with socket.create_server((HERE, taken)):
        assert refused(claims, tcp(free), tcp(taken)).reason == "PortInUse"
    with socket.create_server((HERE, free)) as other:
        assert other.getsockname() == (HERE, free)


def test_claim__port_of_a_program__names_the_program_and_what_to_do(claims: ports.Claims) -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        program = context.Process(target=theirs.recv)
        program.start()
    try:
        taken = refused(claims, tcp(port))
        assert taken.message == f"port {HERE}:{port}/tcp is in use"
        assert isinstance(taken, ports.PortTaken)
        error = taken.explained()
        name = pathlib.Path(f"/proc/{program.pid}/comm").read_text().strip()
        assert error.message == f"port {HERE}:{port}/tcp is in use by {name} (pid {program.pid})"
        assert error.hint == "stop that program or publish another port"
    finally:
        ours.send("end")
        program.join()
        program.close()
        ours.close()
        theirs.close()


def test_claim__port_of_a_udp_program__conflict_says_udp(claims: ports.Claims) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        port = hostports.free_port()
        other.bind((HERE, port))
        assert refused(claims, udp(port)).message == f"port {HERE}:{port}/udp is in use"
        claims.claim("web", [tcp(port)])


def test_owner__a_port_of_this_very_process__is_not_named() -> None:
    with socket.create_server((HERE, 0)) as server:
        assert ports.owner(tcp(server.getsockname()[1])) == ""


def test_claim__last_connection_lingers_in_time_wait__is_had(claims: ports.Claims) -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HERE, port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()]
    # others may linger there too: a port that the kernel chooses was somebody's a moment before
    assert {fields[3] for fields in lines if fields[1].endswith(f":{port:04X}")} == {"06"}, "TIME_WAIT"
    claims.claim("web", [tcp(port)])
    assert refused(claims, tcp(port)).reason == "PortInUse"


def test_claim__address_that_the_host_has_not__says_so(claims: ports.Claims) -> None:
    error = refused(claims, tcp(hostports.free_port(), "192.0.2.1"))
    assert error.message == "this host has no address 192.0.2.1"


def test_close__gives_everything_back(claims: ports.Claims) -> None:
    before = descriptors()
    held = [hostports.free_port() for _ in range(3)]
    for port in held:
        claims.claim(f"c{port}", [tcp(port), udp(port)])
    assert len(descriptors() - before) == 6
    claims.close()
    assert descriptors() == before


def descriptors() -> set[str]:
    """Return this process' descriptors of sockets."""
    links = pathlib.Path("/proc/self/fd").iterdir()
    return {name for name in (_target(link) for link in links) if name.startswith("socket:")}


def _target(link: pathlib.Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the one by which the folder itself is read
        return ""
