"""The wheel of this checkout, built without a network: a copy of the tree, so that the build leaves nothing in it."""

import pathlib
import shutil
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).parents[2]
_SOURCES = ("agent", "crds", "ops")
_FILES = ("LICENSE", "README.md", "pyproject.toml")


def build(folder: pathlib.Path) -> pathlib.Path:
    """Return the path of the wheel, built below a folder that is empty."""
    tree = folder / "tree"
    for name in _SOURCES:
        shutil.copytree(REPOSITORY / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(REPOSITORY / name, tree)
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *flags, tree], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel
