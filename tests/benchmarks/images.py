"""The one image that both sides run."""

import pathlib
import subprocess

from tests import quickstart_image

NAME = "localhost/bench:latest"


def oci_archive(folder: pathlib.Path) -> pathlib.Path:
    """Make the image as an OCI archive."""
    path = folder / "bench-oci.tar"
    quickstart_image.main(path)
    return path


def docker_archive(folder: pathlib.Path) -> pathlib.Path:
    """Make the same image as ``docker load`` takes it."""
    path = folder / "bench-docker.tar"
    source = oci_archive(folder)
    subprocess.run(
        ["skopeo", "copy", f"oci-archive:{source}", f"docker-archive:{path}:{NAME}"], check=True, capture_output=True
    )
    return path
