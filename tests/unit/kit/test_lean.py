"""What a long-lived process need not load. Each in a process of its own: what is imported once stays."""

import pathlib
import subprocess
import sys

import pytest


def run(*lines: str) -> str:
    program = "\n".join(("import sys", "from agent.kit import lean", *lines))
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_without__a_package__looks_as_if_it_were_not_installed_and_is_there_again() -> None:
    told = run(
        "with lean.without('rich'):",
        "    try:",
        "        import rich",
        "    except ImportError:",
        "        print('missing')",
        "import rich",
        "print('there')",
    )
    assert told.split() == ["missing", "there"]


def test_bare__a_package_that_imports_everything__gives_its_modules_without_the_rest() -> None:
    told = run(
        "with lean.bare('pyroute2'):",
        "    from pyroute2.netlink.rtnl.rtmsg import rtmsg",
        "print(rtmsg.__name__, 'pyroute2.ndb.main' in sys.modules)",
        "import pyroute2",
        "print(pyroute2.IPRoute.__name__)",
    )
    assert told.splitlines() == ["rtmsg False", "IPRoute"]


def test_bare__a_package_that_is_loaded_already__is_left_as_it_is() -> None:
    told = run(
        "import email",
        "with lean.bare('email'):",
        "    import email as again",
        "print(again is email)",
    )
    assert told == "True"


HEAPS = """
import ctypes, pathlib, sys, threading
from agent.kit import lean

if sys.argv[1] == "frugal":
    lean.frugal()
barrier = threading.Barrier(6)

def work():
    for _ in range(20):
        barrier.wait()
        kept = [bytes(5000) for _ in range(500)]

threads = [threading.Thread(target=work) for _ in range(6)]
for one in threads:
    one.start()
for one in threads:
    one.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(pathlib.Path(sys.argv[2]).read_text().count("<heap nr="))
"""


@pytest.mark.parametrize(("how", "several"), [("frugal", False), ("as it comes", True)])
def test_frugal__threads_ask_at_once__share_one_heap(tmp_path: pathlib.Path, how: str, several: bool) -> None:
    words = [sys.executable, "-c", HEAPS, how, str(tmp_path / "info")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 1) is several
