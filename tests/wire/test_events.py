"""What the server says over the sideband, and what becomes of it (g_*, i_*, and the events of a_v1_webrtc_happy)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtc_client import (
    AgentTranscriptClosed,
    AgentTranscriptDelta,
    AgentTranscriptDone,
    CallerTranscriptClosed,
    CallerTranscriptDelta,
    CallerTranscriptDone,
    EndReason,
    ErrorEvent,
    HandoffRequested,
    ItemAdded,
    ItemDone,
    OutputAudioDelta,
    ResponseAudioDelta,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    UnknownEvent,
    connect,
)
from tests.wire.recordings import Episode, episode, episodes
from tests.wire.replay import config_of, replaying, server_events
from tests.wire.server import PONG

Told = tuple[str, dict[str, Any]]


def told(event: ServerEvent) -> Told | None:
    """Return what the reference client tells its application of an event; None where it says nothing."""
    match event:
        case OutputAudioDelta():
            audio = {
                "data": event.audio_base64,
                "sampleRate": event.sample_rate_hz,
                "numChannels": event.channels,
                "samplesPerChannel": event.samples_per_channel,
                "itemId": None,
            }
            return "outputAudio/delta", {"audio": audio}
        case CallerTranscriptDelta():
            return "transcript/delta", {"role": "user", "delta": event.delta}
        case AgentTranscriptDelta():
            return "transcript/delta", {"role": "assistant", "delta": event.delta}
        case CallerTranscriptDone():
            return "transcript/done", {"role": "user", "text": event.transcript}
        case AgentTranscriptDone():
            return "transcript/done", {"role": "assistant", "text": event.transcript}
        case ItemAdded():
            return "itemAdded", {"item": event.raw["item"]}
        case HandoffRequested():
            fields = ("handoff_id", "item_id", "input_transcript")
            item = {"type": "handoff_request"} | {name: getattr(event, name) for name in fields}
            return "itemAdded", {"item": item | {"active_transcript": []}}
        case ErrorEvent():
            return "error", {"message": event.message}
        case _:
            return None


def told_of_events(recorded: Episode) -> list[Told]:
    """Return what the application above the reference client was told of the server's frames."""
    about_the_call = ("started", "sdp", "closed")
    return [(method, params) for method, params in recorded.told if method not in about_the_call]


async def events_of(recorded: Episode) -> list[ServerEvent]:
    """Return what our client makes of everything the recorded server sent, while the call goes on."""
    n = len(recorded.all("ws_text", "ws_binary", direction="s2c"))
    async with replaying(recorded) as replay:
        replay.go.set()
        async with connect(config_of(replay, recorded)) as call:
            events = await server_events(call, n)
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP
    return events


@pytest.mark.parametrize("name", ["a_v1_webrtc_happy", "i_v1_event_fields", "i_v1_transcript_aliases"])
async def test_events_mean_what_they_mean_to_the_reference_client(name: str) -> None:
    """Every frame of the recording becomes an event with the fields the reference client takes, or says nothing."""
    recorded = episode(name)

    events = await events_of(recorded)

    assert [said for event in events if (said := told(event)) is not None] == told_of_events(recorded)


async def test_events_without_a_word_are_kept() -> None:
    """What the reference client drops in i_v1_event_fields, we keep whole: typed, or unknown and with the reason."""
    recorded = episode("i_v1_event_fields")

    events = await events_of(recorded)

    sent = [json.loads(e["text"]) for e in recorded.all("ws_text", direction="s2c")]
    assert [event.raw for event in events] == sent
    kept = {event.type: event.why for event in events if isinstance(event, UnknownEvent)}
    assert kept == {
        "conversation.output_audio.delta": "unexpected shape",
        "conversation.input_transcript.delta": "unexpected shape",
        "conversation.input_transcript.turn_marked": "unexpected shape",
        "conversation.handoff.requested": "unexpected shape",
    }
    silent = {
        event.type: type(event) for event in events if told(event) is None and not isinstance(event, UnknownEvent)
    }
    assert silent == {
        "session.updated": SessionUpdated,
        "session.created": SessionCreated,
        "conversation.item.done": ItemDone,
        "conversation.input_transcript.done": CallerTranscriptClosed,
        "conversation.output_transcript.done": AgentTranscriptClosed,
        "input_audio_buffer.speech_started": SpeechStarted,
        "response.output_audio.delta": ResponseAudioDelta,
        "response.created": ResponseCreated,
        "response.done": ResponseDone,
    }


async def test_odd_frames_never_end_a_call() -> None:
    """Everything odd in i_odd_frames is kept and counted, the ping answered, and the call goes on.

    Typed is only `session.updated` of a session without an id: an id is not needed to tell what it says.
    The last of them, a binary frame, ends the call of the reference client; ours it does not.
    """
    recorded = episode("i_odd_frames")
    assert recorded.told[-1] == ("closed", {"reason": "error"})
    frames = recorded.all("ws_text", "ws_binary", direction="s2c")
    async with replaying(recorded) as replay:
        replay.go.set()
        async with connect(config_of(replay, recorded)) as call:
            events = await server_events(call, len(frames))
            await call.say("still here")
            await replay.server.until(lambda: len(replay.texts) == 2)

    assert [said for event in events if (said := told(event)) is not None] == told_of_events(recorded)[:-1]
    whys = [event.why for event in events if isinstance(event, UnknownEvent)]
    odd_json = ["malformed JSON"] * 2 + ["not an object"] * 2 + ["no type"] * 2 + ["unknown type"]
    assert whys == odd_json + ["unexpected shape"] * 7 + ["binary frame"]
    assert isinstance(events[-1], UnknownEvent)
    assert events[-1].raw == b"\x00\x01"
    assert call.result.events["unknown"] == len(frames) - 2
    pongs = [frame.payload for frame in replay.frames[0] if frame.opcode == PONG]
    assert pongs == [bytes.fromhex(e["hex"]) for e in recorded.all("ws_pong")] == [b"hi"]
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP


@pytest.mark.parametrize("n", range(4))
async def test_error_event_is_an_event(n: int) -> None:
    """Each error of g_error_event is told in the recorded words, and the call goes on: a text after it still arrives.

    The reference client ends the call on all but the last, `{"type":"error"}`, which says nothing to either of us.
    """
    recorded = episodes("g_error_event")[n]
    async with replaying(recorded) as replay:
        replay.go.set()
        async with connect(config_of(replay, recorded)) as call:
            (event,) = await server_events(call, 1)
            await call.say("after error")
            await replay.server.until(lambda: len(replay.texts) == 2)

    if n < 3:
        assert told(event) == ("error", {"message": recorded.error})
        assert ("closed", {"reason": "error"}) in recorded.told
    else:
        assert isinstance(event, UnknownEvent)
        assert json.loads(replay.texts[1]) == json.loads(recorded.sent_frames[1])
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP


async def test_fields_of_an_error_are_kept() -> None:
    """Code and type of an error event can be read, not only its message."""
    (event,) = await events_of(episodes("g_error_event")[0])

    assert isinstance(event, ErrorEvent)
    assert (event.message, event.code, event.error_type) == ("boom", "c", "invalid_request_error")
