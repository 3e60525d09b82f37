"""What a long-lived process need not load. Each in a process of its own: what is imported once stays."""

import pathlib
import subprocess
import sys

import pytest


def run(*lines: str) -> str:
    program = "\n".join(("import sys", "from agent.kit import lean", *lines))
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_without__a_package__looks_as_if_it_were_not_installed_and_is_there_again() -> None:
    output = run(
        "with lean.without('rich'):",
        "    try:",
        "        import rich",
        "    except ImportError:",
        "        print('missing')",
        "import rich",
        "print('there')",
    )
    assert output.split() == ["missing", "there"]


def test_bare__a_package_that_imports_everything__gives_its_modules_without_the_rest() -> None:
    output = run(
        "with lean.bare('pyroute2'):",
        "    from pyroute2.netlink.rtnl.rtmsg import rtmsg",
        "print(rtmsg.__name__, 'pyroute2.ndb.main' in sys.modules)",
        "import pyroute2",
        "print(pyroute2.IPRoute.__name__)",
    )
    assert output.splitlines() == ["rtmsg False", "IPRoute"]


def test_bare__a_package_that_is_loaded_already__is_left_as_it_is() -> None:
    output = run(
        "import email",
        "with lean.bare('email'):",
        "    import email as again",
        "print(again is email)",
    )
    assert output == "True"


@pytest.mark.parametrize(("begin", "is_paused"), [("pass", True), ("lean.settle()", False), ("gc.disable()", True)])
def test_collector_paused__again_and_again__keeps_no_garbage(begin: str, is_paused: bool) -> None:
    output = run(
        "import gc, weakref",
        begin,
        "is_on = gc.isenabled()",
        "class Ring: pass",
        "gone = []",
        "for _ in range(10):",
        "    ring = Ring()",
        "    ring.itself = ring",
        "    gone.append(weakref.ref(ring))",
        "    del ring",
        "    with lean.collector_paused():",
        f"        assert gc.isenabled() is not {is_paused}",
        "    assert gc.isenabled() is is_on",
        "gc.collect()",
        "print([reference() for reference in gone] == [None] * 10)",
    )
    assert output == "True"


def test_settle__objects_are_kept__no_young_round_looks_at_more_than_seventy_thousand() -> None:
    output = run(
        "import gc",
        "rounds = []",
        "def begin(phase, facts):",
        "    if phase == 'start' and facts['generation'] < 2:",
        "        objects = [len(gc.get_objects(number)) for number in range(facts['generation'] + 1)]",
        "        rounds.append((facts['generation'], sum(objects)))",
        "lean.settle()",
        "gc.callbacks.append(begin)",
        "kept = []",
        "with lean.collector_paused():",
        "    for _ in range(300_000):",
        "        kept.append([])",
        "gc.callbacks.clear()",
        "print({number for number, _ in rounds}, max(count for _, count in rounds) < 75_000)",
    )
    assert output == "{0, 1} True"


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
