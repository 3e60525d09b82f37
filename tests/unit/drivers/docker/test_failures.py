"""What Docker 20.10 to 28 and Podman 4.3 say when something goes wrong, by its kind and its reason."""

import asyncio

import aiodocker.exceptions
import aiohttp
import pytest

from agent import errors
from agent.drivers.docker import failures

DOCKER = [
    (404, "No such container: web", errors.NotFound, "NotFound"),
    (404, "No such image: docker.io/library/app:1", errors.NotFound, "NotFound"),
    (404, "get data: no such volume", errors.NotFound, "NotFound"),
    (404, "network shop not found", errors.NotFound, "NetworkNotFound"),
    (409, 'Conflict. The container name "/web" is already in use by container "1"', errors.AlreadyExists, "NameTaken"),
    (500, "Bind for 0.0.0.0:80 failed: port is already allocated", errors.Conflict, "PortInUse"),
    (
        500,
        "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
        errors.Conflict,
        "PortInUse",
    ),
    (
        500,
        "failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: address already in use",
        errors.Conflict,
        "PortInUse",
    ),
    (500, "listen tcp4 10.1.1.1:80: bind: cannot assign requested address", errors.Conflict, "AddressInUse"),
    (
        500,
        "renaming container 5ab9: updating container config table: UNIQUE constraint failed: ContainerConfig.Name",
        errors.AlreadyExists,
        "NameTaken",
    ),
    (403, "Address already in use", errors.Conflict, "AddressInUse"),
    (403, "Pool overlaps with other one on this address space", errors.Conflict, "SubnetInUse"),
    (403, "error while removing network: network shop id 1 has active endpoints", errors.InUse, "InUse"),
    (403, "endpoint with name web already exists in network shop", errors.Conflict, "Conflict"),
    (409, "remove data: volume is in use - [1]", errors.Conflict, "Conflict"),
    (409, "conflict: unable to remove: container 1 is using its referenced image 2", errors.InUse, "InUse"),
    (
        400,
        'invalid mount config for type "bind": bind source path does not exist: /x',
        errors.Unavailable,
        "MountSourceMissing",
    ),
    (400, "CPU cfs quota can not be less than 1ms (i.e. 1000)", errors.InvalidArgument, "InvalidArgument"),
    (400, "Minimum memory reservation allowed is 6MB", errors.InvalidArgument, "InvalidArgument"),
    (409, "Container 1 is not running", errors.Conflict, "NotRunning"),
    (500, "write /var/lib/docker/tmp/x: no space left on device", errors.Unavailable, "DiskFull"),
    (
        400,
        'OCI runtime create failed: exec: "x": executable file not found in $PATH: unknown',
        errors.InvalidArgument,
        "StartFailed",
    ),
    (400, 'OCI runtime create failed: exec: "/etc": permission denied: unknown', errors.InvalidArgument, "StartFailed"),
    (500, 'Get "https://r/v2/": dial tcp: lookup r: no such host', errors.Unavailable, "ImagePullFailed"),
    (
        500,
        'Get "http://r/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
        errors.Unavailable,
        "ImagePullFailed",
    ),
    (
        500,
        "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        errors.Unavailable,
        "ImagePullFailed",
    ),
    (500, 'Get "https://r/v2/": x509: certificate signed by unknown authority', errors.Unavailable, "ImagePullFailed"),
    (500, "dial tcp 10.0.0.1:443: connect: network is unreachable", errors.Unavailable, "ImagePullFailed"),
    (500, "toomanyrequests: You have reached your pull rate limit", errors.Unavailable, "ImagePullFailed"),
    (
        404,
        "pull access denied for app, repository does not exist: denied: x",
        errors.InvalidArgument,
        "ImagePullDenied",
    ),
    (500, "unauthorized: authentication required", errors.InvalidArgument, "ImagePullDenied"),
    (500, 'Head "http://r/v2/a/manifests/1": no basic auth credentials', errors.InvalidArgument, "ImagePullDenied"),
    (404, "manifest for localhost:5000/app:9 not found: manifest unknown", errors.NotFound, "ImageNotFound"),
    (404, "no matching manifest for linux/arm64 in the manifest list entries", errors.NotFound, "PlatformNotFound"),
]
PODMAN = [
    (404, 'no container with name or ID "web" found: no such container', errors.NotFound, "NotFound"),
    (404, "unable to find network with name or ID shop: network not found", errors.NotFound, "NetworkNotFound"),
    (409, 'name "web" is in use: the container name "web" is already in use by 1', errors.AlreadyExists, "NameTaken"),
    (
        500,
        "cannot listen on the TCP port: listen tcp4 127.0.0.1:80: bind: address already in use",
        errors.Conflict,
        "PortInUse",
    ),
    (
        500,
        "IPAM error: requested ip address 10.9.0.5 is already allocated to container ID 1",
        errors.Conflict,
        "AddressInUse",
    ),
    (500, "subnet 10.9.0.0/24 is already used on the host or by another config", errors.Conflict, "SubnetInUse"),
    (500, '"shop" has associated containers with it: network is being used', errors.InUse, "InUse"),
    (409, "volume data is being used by the following container(s): 1: volume is being used", errors.InUse, "InUse"),
    (409, "image used by 1: image is in use by a container", errors.InUse, "InUse"),
    (
        500,
        'runc create failed: error mounting "/x" to rootfs at "/y": stat /x: no such file or directory: OCI',
        errors.Unavailable,
        "MountSourceMissing",
    ),
    (500, "crun: cannot stat `/x`: No such file or directory: OCI not found", errors.Unavailable, "MountSourceMissing"),
    (500, "statfs /x: no such file or directory", errors.Unavailable, "MountSourceMissing"),
    (
        409,
        "can only kill running containers. 1 is in state exited: container state improper",
        errors.Conflict,
        "NotRunning",
    ),
    (
        500,
        "crun: executable file `x` not found in $PATH: No such file: OCI runtime attempted",
        errors.InvalidArgument,
        "StartFailed",
    ),
    (500, "reading manifest latest in docker.io/library/x: manifest unknown", errors.NotFound, "ImageNotFound"),
    (500, "requested access to the resource is denied", errors.InvalidArgument, "ImagePullDenied"),
    (500, "no image found in manifest list for architecture arm64, OS linux", errors.NotFound, "PlatformNotFound"),
]
OTHERS = [
    (500, "associated social protocols", errors.Unavailable, "EngineFailure"),
    (500, "something that nobody has seen", errors.Unavailable, "EngineFailure"),
    (503, "", errors.Unavailable, "EngineFailure"),
    (900, "Cannot connect to Docker Engine", errors.Unavailable, "EngineDown"),
]


@pytest.mark.parametrize(("status", "message", "kind", "reason"), [*DOCKER, *PODMAN, *OTHERS])
def test_failure__in_an_engines_words__is_of_a_kind_and_has_a_reason(
    status: int, message: str, kind: type[errors.Failure], reason: str
) -> None:
    failure = failures.of(status, message, "container web")
    assert (type(failure), failure.reason) == (kind, reason)
    assert message in str(failure)


def test_failure__without_a_word__names_the_status() -> None:
    assert str(failures.of(503, " \n", "image app")).startswith("image app: the engine answers 503 without a reason")


def test_failure__of_a_very_long_text__keeps_its_end() -> None:
    text = str(failures.of(500, "x" * 5000 + " the cause", "image app"))
    assert len(text) < 700
    assert text.endswith("the cause")


@pytest.mark.parametrize(
    ("raised", "kind", "reason"),
    [
        (aiodocker.exceptions.DockerError(404, "No such container: 1"), errors.NotFound, "NotFound"),
        (aiohttp.ServerDisconnectedError(), errors.Unavailable, "EngineDown"),
        (ConnectionResetError("reset"), errors.Unavailable, "EngineDown"),
        (TimeoutError(), errors.Unavailable, "EngineTimeout"),
        (aiodocker.exceptions.DockerContextTLSError("no certificate"), errors.Unavailable, "EngineFailure"),
    ],
)
def test_translated__whatever_a_client_raises__is_a_failure_of_the_runtime(
    raised: Exception, kind: type[errors.Failure], reason: str
) -> None:
    with pytest.raises(kind) as caught, failures.translated("container web"):
        raise raised
    assert (caught.value.reason, caught.value.__cause__) == (reason, raised)


def test_translated__being_cancelled__is_no_failure() -> None:
    with pytest.raises(asyncio.CancelledError), failures.translated("container web"):
        raise asyncio.CancelledError
