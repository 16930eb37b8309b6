"""Promise: a script that places a call ends as scripts do: by its last line, by Ctrl-C, in a child, without `with`."""

from __future__ import annotations

import signal
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from rtc_client.testing import FakeAnswerer
from tests.sync.conftest import Script

pytestmark = pytest.mark.real_time("calls of a thread of their own, or of another process")

CLOSE_S = 3.0


def test_a_plain_script_holds_a_call(script: Callable[[str], Script]) -> None:
    """It needs no event loop, says what it heard, and ends with nothing to complain of."""
    running = script("""
with sync.connect(config, source=ToneSource(440, duration_s=0.4), sink=WavSink("agent.wav")) as call:
    for event in call.events():
        if isinstance(event, AgentTranscriptDone):
            say(event.transcript)
say(call.result.end.reason)
say([thread.name for thread in threading.enumerate()])
""")

    assert running.end() == (0, ["beep", "source_ended", "['MainThread']"], "")


@pytest.mark.parametrize("waiting", ["call.wait_ended()", "list(call.events())", "time.sleep(60)"])
def test_ctrl_c_hangs_up_and_raises(waiting: str, answerer: FakeAnswerer, script: Callable[[str], Script]) -> None:
    """KeyboardInterrupt comes out of whatever the script waits for, and the server is told before it ends."""
    running = script(f"""
try:
    with sync.connect(config) as call:
        say("up")
        {waiting}
except KeyboardInterrupt:
    say(call.result.end.reason)
    raise
""")
    running.wait_for("up")
    running.process.send_signal(signal.SIGINT)
    began_s = time.monotonic()
    status, said, complaints = running.end()

    assert time.monotonic() - began_s < CLOSE_S
    assert status == -signal.SIGINT
    assert said == ["interrupted"]
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert complaints.count("Traceback") == 1
    assert answerer.calls[0].hung_up_by_client


def test_ctrl_c_while_dialling_gives_the_call_up(answerer: FakeAnswerer, script: Callable[[str], Script]) -> None:
    """Nothing waits for the answer that does not come."""
    with answerer.faults.hold_answer():
        running = script("""
say("dialling")
try:
    with sync.connect(config) as call:
        say("up")
except KeyboardInterrupt:
    say([thread.name for thread in threading.enumerate()])
""")
        running.wait_for("dialling")
        deadline_s = time.monotonic() + CLOSE_S
        while not answerer.requests and time.monotonic() < deadline_s:
            time.sleep(0.01)
        running.process.send_signal(signal.SIGINT)

        assert running.end() == (0, ["['MainThread']"], "")


def test_the_end_of_the_interpreter_closes_what_was_left_open(
    answerer: FakeAnswerer, script: Callable[[str], Script], tmp_path: Path
) -> None:
    """A call that was entered without `with` is hung up, and its recording is whole."""
    running = script("""
call = sync.connect(config, sink=WavSink("agent.wav"))
call.__enter__()
next(event for event in call.events() if isinstance(event, AgentTranscriptDone))
say(call.elapsed_s)
""")
    began_s = time.monotonic()
    status, said, complaints = running.end()

    assert (status, complaints) == (0, "")
    assert time.monotonic() - began_s < CLOSE_S + 5
    assert answerer.calls[0].hung_up_by_client
    with wave.open(str(tmp_path / "agent.wav")) as recording:
        assert recording.getnframes() / 24_000 >= float(said[0]) - 0.1


def test_the_end_of_the_main_thread_waits_for_calls_of_others(script: Callable[[str], Script]) -> None:
    """As Python waits for threads, so does a call whose `with` another thread is in."""
    running = script("""
def hold():
    with sync.connect(config, source=ToneSource(440, duration_s=0.4), sink=WavSink("agent.wav")) as call:
        up.set()
        say(call.wait_ended().end.reason)
up = threading.Event()
threading.Thread(target=hold).start()
up.wait()
""")

    assert running.end() == (0, ["source_ended"], "")


def test_a_child_process_has_no_part_in_the_call(answerer: FakeAnswerer, script: Callable[[str], Script]) -> None:
    """After a fork the child is told so, and may end as it likes: the parent's call goes on."""
    running = script("""
import warnings
warnings.simplefilter("ignore")  # Python warns of any fork of a process with threads
with sync.connect(config) as call:
    child = os.fork()
    if child == 0:
        for use in (call.wait_ended, lambda: call.state, lambda: next(call.events())):
            try:
                use()
            except CallClosed as error:
                say(str(error).partition(":")[0])
        sys.exit(7)
    say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    say(call.state)
""")

    told = "this call belongs to the process that made it"
    assert running.end() == (0, [told, told, told, "7", "active"], "")
    assert len(answerer.calls) == 1
