"""Promise: a source or sink of the user's that raises ends the call, with its own exception as the cause.

In real time: `test_a_source_that_raises_ends_the_call_after_what_it_said_before`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from rtc_client import (
    AudioFileUnreadable,
    CallbackSink,
    CallState,
    ConfigError,
    EndReason,
    FileSource,
    IteratorSource,
    NumpySink,
    PcmFrame,
    SinkFailed,
    SourceFailed,
    WavSink,
    connect,
)
from rtc_client.audio.frames import Samples
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for
from tests.behaviour.speech import CALLER_WORDS, SAME, cut, locate


class Broken(Exception):
    """Only this test's code raises it."""


@pytest.mark.both_clocks
async def test_a_source_that_raises_ends_the_call_after_what_it_said_before(answerer: FakeAnswerer) -> None:
    """What the source had produced is still spoken; then the call ends with SourceFailed, and its cause is chained."""

    async def words() -> AsyncIterator[Samples]:
        yield CALLER_WORDS
        raise Broken

    with pytest.raises(SourceFailed) as failed:
        async with connect(config_for(answerer), source=IteratorSource(words())) as call:
            result = await call.wait_ended()

    assert isinstance(failed.value.__cause__, Broken)
    assert result.error is failed.value
    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.FAILED, "program")
    answered = answerer.calls[0]
    await answered.ended()
    assert answered.hung_up_by_client
    assert locate(cut(CALLER_WORDS, 0, 1.0), answered.heard).likeness > SAME


async def test_a_sink_that_raises_ends_the_call(answerer: FakeAnswerer) -> None:
    """The call ends with SinkFailed, its cause is chained, and readers of the events get the same error."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=5))])

    def refuse(frame: PcmFrame) -> None:
        if np.any(frame.samples):
            raise Broken

    with pytest.raises(SinkFailed) as failed:
        async with connect(config_for(answerer), sink=CallbackSink(refuse)) as call:
            with pytest.raises(SinkFailed) as read:
                async for _ in call.events():
                    pass

    assert read.value is failed.value
    assert isinstance(failed.value.__cause__, Broken)
    assert call.state is CallState.ENDED
    assert answerer.calls[0].hung_up_by_client


async def test_a_recording_that_cannot_be_finished_is_told(answerer: FakeAnswerer) -> None:
    """A sink that fails only when it is closed turns a hang-up into SinkFailed: the recording is not whole."""

    class Unfinished(NumpySink):
        async def aclose(self) -> None:
            await super().aclose()
            raise Broken

    with pytest.raises(SinkFailed) as failed:
        async with connect(config_for(answerer), sink=Unfinished()):
            pass

    assert isinstance(failed.value.__cause__, Broken)


async def test_what_cannot_be_opened_is_told_before_anything_is_sent(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """A file that is not there, no audio, a folder that is not there: ConfigError, and no request was made."""
    (tmp_path / "no.wav").write_text("no audio")
    for source in (FileSource(tmp_path / "missing.wav"), FileSource(tmp_path / "no.wav")):
        with pytest.raises(AudioFileUnreadable):
            async with connect(config_for(answerer), source=source, sink=WavSink(tmp_path / "agent.wav")):
                pass
    with pytest.raises(ConfigError):
        async with connect(config_for(answerer), sink=WavSink(tmp_path / "missing" / "agent.wav")):
            pass

    assert answerer.requests == []


async def test_a_source_serves_one_call(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """A sink that was used before is refused before anything is sent, not recorded into twice."""
    sink = NumpySink()
    async with connect(config_for(answerer), sink=sink):
        pass
    n_requests = len(answerer.requests)

    with pytest.raises(ConfigError, match="one call"):
        async with connect(config_for(answerer), sink=sink):
            pass

    assert len(answerer.requests) == n_requests
