"""How many server events a second become values: ours, `json.loads` and a dict, and the official SDK's typed parse.

All three decode the same frames in the same process, in turns, so that a slow hour of the machine is everybody's.
"""

from __future__ import annotations

import gc
import json
import statistics
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from openai.resources.realtime.realtime import AsyncRealtimeConnection

from rtc_client.clock import MonotonicClock
from rtc_client.protocol.wire.codec import parse_event
from tests.protocol.samples import SAMPLES

Decode: TypeAlias = Callable[[str], object]

AUDIO_DELTA_BASE64: Final = "AQIDBAUG" * 800
"""4,800 bytes: 100 ms of PCM16 at 24 kHz, about what a delta carries."""

TURN: Final = (
    ("input_audio_buffer.speech_started", 1),
    ("input_audio_buffer.speech_stopped", 1),
    ("input_audio_buffer.committed", 1),
    ("conversation.item.added", 2),
    ("conversation.item.done", 2),
    ("conversation.item.input_audio_transcription.delta", 12),
    ("conversation.item.input_audio_transcription.completed", 1),
    ("response.created", 1),
    ("response.output_item.added", 1),
    ("response.content_part.added", 1),
    ("response.output_audio_transcript.delta", 40),
    ("response.output_audio.delta", 60),
    ("response.output_audio.done", 1),
    ("response.output_audio_transcript.done", 1),
    ("response.content_part.done", 1),
    ("response.output_item.done", 1),
    ("response.done", 1),
    ("rate_limits.updated", 1),
)
"""One turn over a websocket: what comes, and how often."""

ON_A_CALL: Final = ("response.output_audio.delta", "response.output_audio.done")
"""What a call with media does not get: its sound comes by RTP."""


def frames_of_a_turn(*, with_audio: bool) -> list[str]:
    """Return the text frames of one turn, deltas spread over it as they come: every kind in step."""
    frames: list[tuple[float, str]] = []
    for order, (name, n_times) in enumerate(TURN):
        if name in ON_A_CALL and not with_audio:
            continue
        event = SAMPLES[name]
        if name == "response.output_audio.delta":
            event = event | {"delta": AUDIO_DELTA_BASE64}
        text = json.dumps(event, separators=(",", ":"))
        frames += [((n + 0.5) / n_times if n_times > 2 else order / len(TURN), text) for n in range(n_times)]
    return [frame for _, frame in sorted(frames)]


def as_dict(text: str) -> object:
    """Decode as a program without types does: the object, and a look at its type."""
    value = json.loads(text)
    return value["type"], value


def decoders() -> dict[str, Decode]:
    """Return who is measured: name and function."""
    official = AsyncRealtimeConnection.__new__(AsyncRealtimeConnection)  # its parse_event needs no connection
    return {"ours": parse_event, "json.loads and dict": as_dict, "openai": official.parse_event}


def measure(frames: Sequence[str], *, repeat: int, window_s: float) -> dict[str, float]:
    """Return events a second of each decoder, the median of `repeat` windows taken in turns."""
    now_s = MonotonicClock().now_s
    rates: dict[str, list[float]] = {name: [] for name in decoders()}
    for _ in range(repeat):
        for name, decode in decoders().items():
            gc.collect()
            n_turns = 0
            began_s = now_s()
            while (taken_s := now_s() - began_s) < window_s or n_turns == 0:
                for frame in frames:
                    decode(frame)
                n_turns += 1
            rates[name].append(n_turns * len(frames) / taken_s)
    return {name: statistics.median(values) for name, values in rates.items()}


def summary(*, repeat: int, window_s: float) -> dict[str, dict[str, float]]:
    """Return, for each mix of events, the events a second of each decoder, and how many times ours is faster."""
    found = {}
    for mix, with_audio in (("call", False), ("websocket", True)):
        frames = frames_of_a_turn(with_audio=with_audio)
        rates = measure(frames, repeat=repeat, window_s=window_s)
        ratios = {f"times {name}": round(rates["ours"] / rate, 2) for name, rate in rates.items() if name != "ours"}
        found[mix] = {"frames": len(frames)} | {name: round(rate) for name, rate in rates.items()} | ratios
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the summary for people, one mix a row, in Markdown."""
    columns = ["frames", *decoders(), "times json.loads and dict", "times openai"]
    lines = ["| events/s | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    lines += [f"| {mix} | " + " | ".join(f"{row[name]:,}" for name in columns) + " |" for mix, row in found.items()]
    return "\n".join(lines)
