"""Promise: a verb with a limit of its own keeps to it in the sync door too, and streams are plain iterators there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtc_client import CallConfig, CommandFault, InvalidCommand, ResponseTimeout, sync
from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone

pytestmark = pytest.mark.real_time("calls of a thread of their own, or of another process")


def test_asking_hearing_and_reading(answerer: FakeAnswerer, config: CallConfig) -> None:
    """A question is answered by words, sound comes as samples, both streams end with the call."""
    answerer.script = AgentScript(reply_to_text=SpokenTurn(voice=Tone(duration_s=0.2), text="At ten."))
    with sync.connect(config) as call:
        sound, words = call.audio_chunks(), call.transcript_chunks()
        assert call.ask("When?", timeout_s=5) == "At ten."
        assert next(chunk for chunk in sound if chunk.samples.any()).samples.dtype == np.int16
        assert call.barge_in() >= 0
        with pytest.raises(InvalidCommand) as refused:
            call.respond(timeout_s=1)
        assert refused.value.fault is CommandFault.UNPROVEN
    assert [chunk.text for chunk in words if chunk.is_final] == ["At ten."]
    assert list(words) == []
    assert sum(len(chunk.samples) for chunk in sound) > 0


def test_a_limit_that_is_over_is_a_named_error(answerer: FakeAnswerer, config: CallConfig) -> None:
    """The agent is silent for longer; the call goes on."""
    answerer.script = AgentScript(turns=[SpokenTurn(text="late", when=AtTime(30))])
    with sync.connect(replace(config, max_duration_s=None)) as call:
        with pytest.raises(ResponseTimeout):
            call.ask("When?", timeout_s=0.1)
        assert call.state == "active"
