"""What this user may read, and the way out where that is too little."""

import os
import pathlib

RUN_AS_ROOT = "run it with sudo"
"""What to do where files are root's."""


def is_withheld(path: pathlib.Path) -> bool:
    """Return whether a path may exist and this user may not read it; ``False`` for one that is plainly not there."""
    try:
        is_directory = path.is_dir()
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return not os.access(path, os.R_OK | (os.X_OK if is_directory else 0))
