"""Promises of the pytest plugin, in runs of pytest of their own: which tests pass, and what a failed one is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from rtc_client.testing.asserts import assert_tone

pytestmark = pytest.mark.real_time("runs the tests of another project, which place calls")

RUN_LIMIT_S: Final = 50

CALLS = """
import pytest

from rtc_client import NullSink, NumpySink, SilenceSource, ToneSource, connect
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone

BEEP = AgentScript(turns=[SpokenTurn(voice=Tone(frequency_hz=700, duration_s=0.3))])


async def place(config):
    async with connect(config, source=SilenceSource(), sink=NullSink()) as call:
        await call.hangup()
    return call.result


async def violate(answerer, key="sesame-open-4711"):
    import httpx

    async with httpx.AsyncClient() as client:
        await client.post(f"{answerer.base_url}/realtime/calls", headers={"authorization": f"Bearer {key}"})

"""

ASKS = """
name = "asks"

[[steps]]
expect_text = "When?"
within_s = 2

[[steps]]
hang_up = true
"""


@dataclass(frozen=True)
class Run:
    """What a run of pytest said."""

    status: int
    output: str

    def outcome(self, test: str) -> str:
        """Return PASSED, FAILED, ERROR, … of a test; the last that is told."""
        told: list[str] = re.findall(rf"^([A-Z]+) test_it\.py::{re.escape(test)}(?: |$)", self.output, re.MULTILINE)
        assert told, f"{test} was not run:\n{self.output}"
        return told[-1]

    def of(self, test: str) -> str:
        """Return what is told of a failed test."""
        parts = re.split(r"^_{3,} (?:ERROR at \w+ of )?(\S+) _{3,}$", self.output, flags=re.MULTILINE)
        told = dict(zip(parts[1::2], parts[2::2], strict=True))
        assert test in told, self.output
        return told[test].partition("\n====")[0]


def run(folder: Path, text: str, *options: str, mode: str = "strict", plugins: tuple[str, ...] = ("asyncio",)) -> Run:
    """Run pytest on one file, with our plugin and these; warnings are errors."""
    (folder / "test_it.py").write_text(text if text.startswith("import") else CALLS + text)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra --strict-markers\n")
    asyncio_options = (f"--asyncio-mode={mode}", "-oasyncio_default_fixture_loop_scope=function")
    named = [option for plugin in (*plugins, "rtc_client.testing.pytest_plugin") for option in ("-p", plugin)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_CORE_"))}
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-rA", "-p", "no:cacheprovider", *named,
         *(asyncio_options if "asyncio" in plugins else ()), "--basetemp", folder / "tmp", *options],
        cwd=folder,
        env=environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_LIMIT_S,
    )  # fmt: skip
    return Run(finished.returncode, finished.stdout + finished.stderr)


def test_in_strict_mode_every_fixture_works_whatever_the_scope_of_the_loop(tmp_path: Path) -> None:
    """Answerers serve in the loop of the test, be it its own or that of its module or session, or anyio's."""
    ran = run(
        tmp_path,
        """
@pytest.mark.asyncio
@pytest.mark.answerer(script=BEEP)
async def test_answerer(answerer, call_config):
    assert answerer.script is BEEP
    await place(call_config)
    assert answerer.calls[0].hung_up_by_client

@pytest.mark.parametrize("n", range(2))
@pytest.mark.asyncio(loop_scope="module")
async def test_module_loop(answerer, call_config, n):
    await place(call_config)

@pytest.mark.asyncio(loop_scope="session")
async def test_several(answerer, answerer_factory, call_config):
    import dataclasses
    others = [await answerer_factory(script=BEEP), await answerer_factory()]
    for one in (answerer, *others):
        await place(dataclasses.replace(call_config, base_url=one.base_url))
    assert [len(one.calls) for one in (answerer, *others)] == [1, 1, 1]
    assert len({one.port for one in (answerer, *others)}) == 3

@pytest.mark.asyncio
@pytest.mark.answerer(script=BEEP)
@pytest.mark.call_config(linger_s=0.1, voice="ember")
class TestClass:
    @pytest.mark.answerer(strict_refuse=True)
    @pytest.mark.call_config(voice="cove")
    async def test_closer_markers_win(self, answerer, call_config):
        assert answerer.script is BEEP
        assert (call_config.linger_s, call_config.voice) == (0.1, "cove")
        await violate(answerer)
        assert answerer.requests
        answerer.violations.clear()

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(answerer, call_config):
    await place(call_config)

@pytest.mark.asyncio
@pytest.mark.answerer(allow_violations=True)
async def test_violations_that_are_allowed(answerer, answerer_factory):
    await violate(answerer)
    assert answerer.violations
    await violate(await answerer_factory(lenient=True))
""",
        plugins=("asyncio", "anyio"),
    )

    assert ran.status == 0, ran.output
    assert "7 passed" in ran.output


def test_in_auto_mode_and_parallel_workers_every_fixture_works(tmp_path: Path) -> None:
    """A user's own async fixtures build on ours, and workers do not meet on a port."""
    ran = run(
        tmp_path,
        """
@pytest.fixture
async def call(answerer, call_config):
    async with connect(call_config, source=SilenceSource(), sink=NullSink()) as placed:
        yield placed

@pytest.mark.parametrize("n", range(6))
async def test_own_fixture(answerer, call, n):
    assert len(answerer.calls) == 1
    await call.hangup()
    assert answerer.calls[0].hung_up_by_client
""",
        "-n2",
        mode="auto",
        plugins=("asyncio", "xdist"),
    )

    assert ran.status == 0, ran.output
    assert "6 passed" in ran.output


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run in which things go wrong, and its folder."""
    folder = tmp_path_factory.mktemp("failed")
    ran = run(
        folder,
        """
from rtc_client.testing.asserts import assert_tone

async def test_body_fails(answerer, call_config):
    heard = NumpySink()
    async with connect(call_config, source=ToneSource(440, duration_s=0.4), sink=heard) as call:
        await call.wait_ended()
    assert len(answerer.calls) == 2

async def test_sound_is_wrong(answerer, call_config):
    async with connect(call_config, source=ToneSource(440, duration_s=0.4), sink=NullSink()) as call:
        await call.wait_ended()
    assert_tone(answerer.calls[0], 880)

async def test_violates(answerer):
    await violate(answerer)

@pytest.mark.xfail(strict=True, reason="violates")
async def test_violates_as_expected(answerer):
    await violate(answerer)

@pytest.fixture
async def violates_in_the_end(answerer):
    yield
    await violate(answerer)

async def test_end_violates(violates_in_the_end): ...

async def test_factory_violates(answerer, answerer_factory):
    await violate(await answerer_factory())

async def test_skips(answerer):
    await violate(answerer)
    pytest.skip("for a reason")
""",
        mode="auto",
    )
    return ran, folder


def test_violations_fail_the_test_itself(failed: tuple[Run, Path]) -> None:
    """What a client does against the protocol is a failure of the test, an expected one where that is expected."""
    ran, _ = failed

    assert ran.status == 1
    tests = {"test_violates", "test_factory_violates", "test_violates_as_expected", "test_end_violates"}
    assert {test: ran.outcome(test) for test in tests} == {
        "test_violates": "FAILED",
        "test_factory_violates": "FAILED",
        "test_violates_as_expected": "XFAIL",
        "test_end_violates": "ERROR",
    }
    assert "1 skipped" in ran.output
    for test in ("test_violates", "test_factory_violates", "test_end_violates"):
        assert "the client broke the protocol:\n[1.1] " in ran.of(test)


def test_a_failed_test_is_told_what_its_answerer_has_seen(failed: tuple[Run, Path]) -> None:
    """Wire, calls and violations stand beside the failure, each once, without keys."""
    ran, _ = failed

    told = ran.of("test_body_fails")
    assert re.search(r"- fake answerer: on the wire -+\n +0\.\d+ s → POST /v1/realtime/calls\?intent=quicksilver", told)
    assert re.search(r" s → \{\"type\":\"session.update\"", told)
    assert re.search(r" s ← 201 ", told)
    assert "the caller was heard: " in told
    assert "strongest frequencies 440 Hz" in told
    assert "violations of the protocol" not in told
    told = ran.of("test_factory_violates")
    assert "fake answerer 1: on the wire -" in told
    assert "nothing: nobody has called" in told
    assert re.search(r"fake answerer 2: on the wire -+\n +0\.\d+ s → POST ", told)
    assert told.count("[1.1] the header openai-alpha") == 1
    assert "sesame" not in ran.output


def test_what_was_heard_in_a_failed_test_is_saved(failed: tuple[Run, Path]) -> None:
    """The caller's sound, and the sound that failed an assertion, can be listened to where the report says."""
    ran, _ = failed

    (path,) = re.findall(r"saved: (\S+caller-1\.wav)", ran.of("test_body_fails"))
    assert_tone(path, 440, for_ms=300)
    saved = re.findall(r"saved: (\S+\.wav)", ran.of("test_sound_is_wrong"))
    assert [Path(path).name for path in saved] == ["failed-1.wav", "caller-1.wav"]
    assert_tone(saved[0], 440, for_ms=300)


def test_a_scenario_that_is_not_met_fails_the_test(tmp_path: Path) -> None:
    """A scenario comes from Python or from a file beside the test; what the client left undone is told step by step."""
    (tmp_path / "asks.toml").write_text(ASKS)
    ran = run(
        tmp_path,
        """
from rtc_client.testing import CALLER_TEXT, EndCall, Expect, Scenario

ASKS = Scenario(name="asks", steps=[Expect(message=CALLER_TEXT, within_s=2), EndCall()])
SCENARIOS = enumerate((ASKS, "asks.toml"))
pytestmark = [pytest.mark.asyncio, pytest.mark.answerer(script=BEEP)]

@pytest.mark.parametrize("n", [pytest.param(n, marks=pytest.mark.answerer(scenario=s)) for n, s in SCENARIOS])
async def test_met(answerer, call_config, n):
    async with connect(call_config, source=SilenceSource(), sink=NullSink()) as call:
        await call.say("When?")
        await call.wait_ended()

@pytest.mark.answerer(scenario=ASKS)
async def test_unmet(answerer, call_config):
    await place(call_config)
    await answerer.calls[0].ended()

@pytest.mark.answerer(scenario=ASKS)
async def test_nobody_called(answerer): ...

@pytest.mark.answerer(scenario=ASKS, check_on_exit=False)
async def test_left_to_the_test(answerer): ...

async def test_other_script(answerer):
    assert answerer.script is BEEP
""",
    )

    assert ran.status == 1
    assert "1 failed, 5 passed, 1 error" in ran.output
    assert ran.outcome("test_unmet") == "FAILED"
    assert re.search(r"^  FAIL +1  expect ", ran.of("test_unmet"), re.MULTILINE)
    assert "nobody has placed a call" in ran.of("test_nobody_called")


def test_the_place_for_sound_can_be_chosen(tmp_path: Path) -> None:
    """With the option, also tests without our fixtures keep the sound that failed, in a folder for each."""
    ran = run(
        tmp_path,
        """
import numpy as np
from rtc_client.testing.asserts import assert_level

@pytest.mark.parametrize("level", [-10, -20])
def test_loud(level):
    assert_level(np.zeros(2400, dtype=np.int16), at_least_dbfs=level)
""",
        "--answerer-audio=audio",
    )

    assert ran.status == 1
    assert sorted(path.relative_to(tmp_path / "audio").as_posix() for path in (tmp_path / "audio").rglob("*.wav")) == [
        "test_it.py-test_loud--10-/failed-1.wav",
        "test_it.py-test_loud--20-/failed-1.wav",
    ]


def test_wrong_use_is_told_in_one_sentence(tmp_path: Path) -> None:
    """A test without a loop, positional arguments and unknown ones are refused by name."""
    ran = run(
        tmp_path,
        """
def test_sync(answerer): ...

@pytest.mark.asyncio
@pytest.mark.answerer(BEEP)
async def test_positional(answerer): ...

@pytest.mark.asyncio
@pytest.mark.answerer(scrpt=BEEP)
async def test_unknown(answerer): ...

@pytest.mark.asyncio
@pytest.mark.call_config(voice="nobody")
async def test_setting(call_config): ...
""",
    )

    assert ran.status == 1
    assert "this test has none: make it `async def`" in ran.of("test_sync")
    assert "@pytest.mark.answerer takes keyword arguments only" in ran.of("test_positional")
    assert "unexpected keyword argument 'scrpt'" in ran.of("test_unknown")
    assert "the voice 'nobody' is not a voice of realtime v1" in ran.of("test_setting")
    assert "4 errors" in ran.output


def test_without_what_it_needs_the_plugin_only_refuses_its_fixtures(tmp_path: Path) -> None:
    """Without aiohttp, or without a plugin that runs coroutines, other tests run, and ours say what to install."""
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['aiohttp'] = None\n")
    text = "import pytest\n\ndef test_other(): ...\n\n@pytest.mark.asyncio\nasync def test_ours(answerer): ...\n"

    ran = run(tmp_path, text)
    assert (ran.outcome("test_other"), ran.outcome("test_ours")) == ("PASSED", "ERROR")
    assert "pip install 'rtc-client[testing]'" in ran.of("test_ours")

    (tmp_path / "conftest.py").unlink()
    ran = run(tmp_path, text.replace("@pytest.mark.asyncio\n", ""), plugins=())
    assert (ran.outcome("test_other"), ran.outcome("test_ours")) == ("PASSED", "ERROR")
    assert "make it `async def`, and mark it" in ran.of("test_ours")
