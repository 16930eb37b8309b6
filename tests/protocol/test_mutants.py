"""Promise: whatever a server sends under the names of known events, nothing raises, and nothing of it is lost."""

from __future__ import annotations

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from rtc_client import UnknownEvent
from rtc_client.protocol.transcript.builder import TranscriptBuilder
from rtc_client.protocol.transcript.from_events import add_event, note_sent
from rtc_client.protocol.wire.codec import dump_event, parse_event
from tests.protocol.mutants import mutant, torn


@given(st.integers())
def test_an_event_that_is_nearly_right_is_kept_whole_and_spoils_no_transcript(seed: int) -> None:
    """It round-trips, its repr can be made, and so can the transcript's exports."""
    rng = random.Random(seed)
    scribe = TranscriptBuilder()
    for n in range(20):
        text = torn(mutant(rng), rng)
        event = parse_event(text)
        repr(event)
        if isinstance(event, UnknownEvent) and event.why == "malformed JSON":
            assert dump_event(event) == text
        else:
            assert json.loads(dump_event(event)) == json.loads(text)
        add_event(scribe, event, 10 * n)
        note_sent(scribe, text, 10 * n)
    scribe.end()
    json.dumps(scribe.entries.as_json())
    assert scribe.entries.as_webvtt().startswith("WEBVTT")
    assert len(scribe.entries.as_text().splitlines()) == len(scribe.entries)
