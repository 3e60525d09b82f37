"""Image configs: how the image is to be run, and the digests of its unpacked layers."""

from agent.kit import frozen
from agent.oci import digest, document
from agent.oci import platform as platforms


@frozen.value
class ImageConfig:
    """The fields of an image config that the engine uses (image specification, "OCI Image Configuration")."""

    platform: platforms.Platform
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    """``NAME=value``, in the image's order."""
    working_dir: str
    user: str
    stop_signal: str
    labels: tuple[tuple[str, str], ...]
    volumes: tuple[str, ...]
    diff_ids: tuple[str, ...]
    """Digests of the layers' tar streams, the lowest first."""


def parse(data: bytes) -> ImageConfig:
    """Read an image config. Raises ``document.Malformed``."""
    node = document.parse(data, "image config")
    run = node.child("config")
    diff_ids = node.child("rootfs").texts("diff_ids")
    for diff_id in diff_ids:
        try:
            digest.parse(diff_id)
        except digest.InvalidDigest as error:
            raise document.Malformed(f"image config.rootfs.diff_ids: {error}") from error
    return ImageConfig(
        platform=platforms.Platform(
            node.text("os", default="linux"), node.text("architecture", default=""), node.text("variant", default="")
        ),
        entrypoint=run.texts("Entrypoint"),
        cmd=run.texts("Cmd"),
        env=run.texts("Env"),
        working_dir=run.text("WorkingDir", default=""),
        user=run.text("User", default=""),
        stop_signal=run.text("StopSignal", default=""),
        labels=run.mapping("Labels"),
        volumes=run.names("Volumes"),
        diff_ids=diff_ids,
    )


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the chain ID of each layer (image specification, "Layer ChainID"), the lowest first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest.of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
