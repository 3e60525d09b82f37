"""Instances of the command for every test, and its manifests.

``testdata/<name>/`` can be run by hand: ``trimtab --runtime memory --root /tmp/x apply tests/e2e/testdata/<name>``.
"""

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import engines, instances
from tests.e2e import command
from tests.e2e import engine_host as engine_hosts

TESTDATA = pathlib.Path(__file__).parent / "testdata"


def _environment(home: pathlib.Path, runtime: str) -> dict[str, str]:
    left_out = ("TRIMTAB_", "NO_COLOR", "PYTHONDONTWRITEBYTECODE", "NOTIFY_SOCKET", "WATCHDOG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return kept | {
        "PYTHONPYCACHEPREFIX": str(instances.REPOSITORY / "build" / "pycache"),  # a test starts many processes
        "TRIMTAB_CONFIG": str(home / "config.yaml"),
        "TRIMTAB_ROOT": str(home / "root"),
        "TRIMTAB_RUN_DIR": str(home / "run"),
        "TRIMTAB_RUNTIME": runtime,
    }


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "config.yaml").touch()
    return tmp_path


@pytest.fixture
def trimtab(home: pathlib.Path) -> command.Trimtab:
    """The command over the memory runtime."""
    return command.Trimtab(home, _environment(home, "memory"))


@pytest.fixture
def testdata(request: pytest.FixtureRequest) -> pathlib.Path:
    """The test's own folder of manifests, to be read only."""
    return TESTDATA / request.node.originalname


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of ``testdata/shop``, to be changed: a web server that depends on a database, a network and a volume."""
    return pathlib.Path(shutil.copytree(TESTDATA / "shop", tmp_path / "shop"))


@pytest.fixture(scope="session")
def quickstart_image(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The quickstart's image, made from this machine's busybox: each session's own, for a rewritten one is a change."""
    path = tmp_path_factory.mktemp("quickstart") / "quickstart-image.tar"
    script = instances.REPOSITORY / "tests" / "quickstart_image.py"
    subprocess.run([sys.executable, script, path], check=True, capture_output=True)
    return path


@pytest.fixture
def native(home: pathlib.Path, quickstart_image: pathlib.Path) -> Iterator[command.Trimtab]:
    """The command over the native runtime; whatever a test leaves in ``home/manifests`` is deleted, and all of it."""
    yield from _over_native(home)
    del quickstart_image


@pytest.fixture(scope="module")
def shared_native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[command.Trimtab]:
    """The same, shared by the tests of a module."""
    home = tmp_path_factory.mktemp("shared")
    (home / "config.yaml").touch()
    yield from _over_native(home)


def _over_native(home: pathlib.Path) -> Iterator[command.Trimtab]:
    (home / "manifests").mkdir()
    trimtab = command.Trimtab(home, _environment(home, "native"))
    yield trimtab
    deleted = trimtab("delete", home / "manifests")
    leftovers = trimtab.instance.left_on_the_host()
    if leftovers:  # by a test that has failed
        trimtab.instance.reboot()
    assert (deleted.returncode, leftovers) == (0, []), deleted.stderr


@pytest.fixture(
    params=[pytest.param(name, marks=(pytest.mark.root, pytest.mark.engine)) for name in ("docker", "podman")]
)
def engine_host(
    request: pytest.FixtureRequest, home: pathlib.Path, quickstart_image: pathlib.Path
) -> Iterator[engine_hosts.EngineHost]:
    """A host with an engine, which the test is on; afterwards nothing is left in the engine."""
    switch: engines.Running = request.getfixturevalue(f"{request.param}_switch")
    trimtab = command.Trimtab(home, _environment(home, request.param) | switch.engine.environment)
    host = engine_hosts.EngineHost(switch, trimtab, quickstart_image)
    with engines.entered(switch.engine):
        try:
            yield host
        finally:
            switch.start()
            host.emptied()
