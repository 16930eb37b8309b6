"""The clocks of `tests/virtual_time.py` and `tests/real_time.py` do what they say, in tests written for that."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.progress import Estimate
from tests.real_time import MAX_SKIPPED, others_s, waits_s

pytestmark = pytest.mark.real_time("it measures clocks")

ROOT = Path(__file__).parent.parent

CONFTEST = """
import itertools

import tests.real_time

waited_s = itertools.count(step=0.05)
tests.real_time.waits_s = lambda: {1: next(waited_s) if LATE else 0.0}
others_s = itertools.count(step=10.0)
tests.real_time.others_s = lambda: next(others_s) if SHARED else 0.0
"""

REAL = """
import time

import pytest

runs = {"spoilt": 0, "broken": 0}


@pytest.mark.real_time("it says so")
def test_that_is_spoilt_once():
    time.sleep(0.25)
    runs["spoilt"] += 1
    assert runs["spoilt"] > 1


@pytest.mark.real_time("it says so")
@pytest.mark.parametrize("n", range(N_BROKEN))
def test_that_is_broken(n):
    time.sleep(0.25)
    runs["broken"] += 1
    assert not runs["broken"], f"run {runs['broken']}"
"""

VIRTUAL = '''
"""In real time: `test_an_hour`."""

import asyncio
import subprocess
import sys
import time

import pytest

clock = time.perf_counter


async def test_an_hour():
    began_s, virtual_s = clock(), time.monotonic()
    await asyncio.sleep(3600)
    assert time.monotonic() - virtual_s == pytest.approx(3600)
    assert clock() - began_s < 60


async def test_a_thread_at_work_takes_its_time():
    began_s = clock()

    def work():
        while clock() - began_s < 0.3:
            pass

    async with asyncio.timeout(50):
        await asyncio.to_thread(work)
    assert clock() - began_s >= 0.3


async def test_a_stall_is_made_by_sleeping():
    fired_s = []
    loop = asyncio.get_running_loop()
    due_s = loop.time() + 0.1
    loop.call_at(due_s, lambda: fired_s.append(loop.time()))
    await asyncio.sleep(0)
    time.sleep(0.7)
    await asyncio.sleep(0.01)
    assert fired_s[0] - due_s == pytest.approx(0.6)


async def test_a_program():
    await asyncio.create_subprocess_exec(sys.executable, "--version")


@pytest.mark.programs
async def test_a_program_that_is_marked():
    process = await asyncio.create_subprocess_exec(sys.executable, "--version", stdout=subprocess.DEVNULL)
    assert await process.wait() == 0


@pytest.mark.both_clocks
async def test_twice():
    await asyncio.sleep(0.01)
'''

UNNAMED = """
import asyncio


async def test_a_second():
    await asyncio.sleep(1)
"""


@dataclass(frozen=True)
class Ran:
    """What came of a run of pytest."""

    status: int
    text: str
    said: dict[str, tuple[str, str]]
    """Of each test: passed, skipped, failure or error; and why."""


def run(folder: Path, content: str, *, late: bool = False, shared: bool = True) -> Ran:
    """Run tests in a project of their own, on a machine that is late or in time, shared with others or not."""
    (folder / "conftest.py").write_text(f"LATE, SHARED = {late}, {shared}\n{CONFTEST}")
    (folder / "test_watched.py").write_text(content)
    report = folder / "report.xml"
    settings = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider", "-q"]
    for plugin in ("leaks", "real_time", "virtual_time"):
        settings += ["-p", f"tests.{plugin}"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, f"--junitxml={report}", str(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.exists(), finished.stdout + finished.stderr
    said = {}
    for case in ElementTree.parse(report).iter("testcase"):
        outcomes = [element for element in case if element.tag in ("skipped", "failure", "error")]
        why = outcomes[0].get("message", "") + (outcomes[0].text or "") if outcomes else ""
        said[case.get("name", "")] = (outcomes[0].tag if outcomes else "passed", why)
    return Ran(finished.returncode, finished.stdout, said)


def test_on_a_late_machine_a_failure_is_taken_again_and_then_skipped(tmp_path: Path) -> None:
    """What passes at last has passed; what does not is skipped, with the lateness; the run says both, and passes."""
    ran = run(tmp_path, REAL.replace("N_BROKEN", "1"), late=True)

    assert ran.said["test_that_is_spoilt_once"] == ("passed", "")
    outcome, why = ran.said["test_that_is_broken[0]"]
    assert outcome == "skipped"
    assert "late 4 times" in why
    assert "processor awaited 50 ms" in why
    assert "taken again: 4" in ran.text
    assert "skipped: 1" in ran.text
    assert ran.status == 0


def test_what_a_run_does_to_itself_excuses_no_failure(tmp_path: Path) -> None:
    """On a machine that nobody else uses a late failure is taken again, and is a failure in the end."""
    ran = run(tmp_path, REAL.replace("N_BROKEN", "1"), late=True, shared=False)

    assert ran.said["test_that_is_spoilt_once"] == ("passed", "")
    outcome, why = ran.said["test_that_is_broken[0]"]
    assert (outcome, "run 4" in why) == ("failure", True)
    assert ran.status == 1


def test_too_many_skips_fail_the_run(tmp_path: Path) -> None:
    """A run on such a machine proves too little."""
    ran = run(tmp_path, REAL.replace("N_BROKEN", str(MAX_SKIPPED + 1)), late=True)

    assert [outcome for outcome, _ in ran.said.values()] == ["passed", *["skipped"] * (MAX_SKIPPED + 1)]
    assert "too busy" in ran.text
    assert ran.status == 1


def test_on_a_machine_in_time_a_failure_is_a_failure(tmp_path: Path) -> None:
    """At once: it is not taken again."""
    ran = run(tmp_path, REAL.replace("N_BROKEN", "1"))

    assert ran.said["test_that_is_spoilt_once"][0] == "failure"
    assert "run 1" in ran.said["test_that_is_broken[0]"][1]
    assert "taken again" not in ran.text
    assert ran.status == 1


def test_virtual_time_passes_while_nothing_is_left_to_do(tmp_path: Path) -> None:
    """An hour takes no time, a thread takes its own, a stall is what `time.sleep` makes, and a program is refused."""
    ran = run(tmp_path, VIRTUAL)

    outcomes = {name: outcome for name, (outcome, _) in ran.said.items()}
    assert outcomes.pop("test_a_program") == "failure"
    assert "a program has no virtual time" in ran.said["test_a_program"][1]
    assert set(outcomes.values()) == {"passed"}, ran.text
    assert {"test_twice[virtual]", "test_twice[real]"} <= outcomes.keys()


def test_a_test_in_virtual_time_names_its_real_counterpart(tmp_path: Path) -> None:
    """Without one nobody would know where the same is seen on the machine's clock."""
    outcome, why = run(tmp_path, UNNAMED).said["test_a_second"]

    assert outcome == "error"
    assert "1.0 s of virtual time passed" in why


def test_waiting_for_a_processor_is_measured() -> None:
    """A process that is one of more than there are processors waits; its parent sees it."""
    spin = "import time\nend_s = time.monotonic() + 0.5\nwhile time.monotonic() < end_s: pass"
    children = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2 * (os.cpu_count() or 1))]
    waited_s = 0.0
    while any(child.poll() is None for child in children):
        waited_s = max([waited_s, *waits_s().values()])

    assert waited_s > 0.05


def test_what_other_programs_take_is_measured() -> None:
    """A program that has left our family counts as another; our own children do not."""
    spin = "import time\nend_s = time.monotonic() + 1\nwhile time.monotonic() < end_s: pass"
    before_s = others_s()
    subprocess.run(["setsid", "--fork", sys.executable, "-c", spin], check=True)
    time.sleep(1.2)
    taken_s = others_s() - before_s

    assert taken_s > 0.2


def test_counterparts_exist() -> None:
    """Every test that a docstring names as a real counterpart is there, and runs on the machine's clock."""
    named = 0
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        head = text.partition('"""\n\nfrom __future__')[0]
        if path == Path(__file__) or "In real time: " not in head:
            continue
        for name in head.partition("In real time: ")[2].rstrip(".\n").replace("\n", " ").split(", "):
            file, _, test = name.strip("`").rpartition("::")
            there = (ROOT / file).read_text(encoding="utf-8") if file else text
            marks = there.partition(f"def {test}(")[0].rpartition("\n\n\n")[2]
            assert f"def {test}(" in there, (path, name)
            assert "both_clocks" in marks or "real_time" in marks or "pytestmark = pytest.mark.real_time" in there, name
            named += 1

    assert named > 50


def test_the_rest_of_a_run_is_estimated_by_what_tests_took() -> None:
    """A long test that is left counts for what it took before; an unknown one for the mean."""
    estimate = Estimate({"short": 1.0, "long": 9.0}, began_s=100.0)
    estimate.expect(["short", "long", "new"])
    assert estimate.left_s(100.0) is None

    estimate.done("short")

    assert estimate.left_s(102.0) == pytest.approx(2.0 * 14)
    assert estimate.line("a/test_b.py::test_c", 102.0) == "1 of 3 tests after 0:02, about 0:28 left: a/test_b.py"
