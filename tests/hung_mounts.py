"""File systems that do not answer, as that of a network whose server is away."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def hung(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Mount one: a FUSE file system whose server reads no request. In the end all that wait for it fail."""
    folder.mkdir()
    server = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={server},rootmode=40000,user_id=0,group_id=0"
        subprocess.run(
            ["mount", "-i", "-t", "fuse", "-o", options, "trimtab-test", folder], check=True, pass_fds=[server]
        )
        yield folder
    finally:
        os.close(server)
        subprocess.run(["umount", "-l", folder], check=True)
