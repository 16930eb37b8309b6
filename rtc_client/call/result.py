"""CallResult: what a call was, once it is over (and so far, while it runs)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from rtc_client.audio.devices.reports import DeviceRecord
from rtc_client.call.media.stats import CallStats
from rtc_client.call.tools.handoffs import HandoffRecord
from rtc_client.call.tools.tool_calls import ToolCallRecord
from rtc_client.protocol.call_state import End
from rtc_client.protocol.call_timeline import Timings
from rtc_client.protocol.transcript.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioTotals:
    """One direction of the audio. Of a call over a websocket, packets are messages with sound, and bytes are of PCM."""

    packets: int = 0
    """Counted once each, sent or received."""
    bytes: int = 0
    """Payload bytes, without headers."""
    lost: int | None = None
    """Packets that never arrived; None when the receiving side has not said so yet."""
    level_dbfs: float | None = None
    """RMS level of everything said in this direction; None when there was nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingReport:
    """What a `CallRecorder` has recorded."""

    file: str
    """Where the sound is; the other files lie beside it."""
    duration_s: float
    """How long the call was, in seconds; the recording too, unless it failed."""
    dropped_s: float = 0.0
    """Sound, in seconds over both voices, that is silence in the recording because the disk was too slow."""
    dropped_events: int = 0
    """Events that are missing for the same reason."""
    failed_at_s: float | None = None
    """Where the recording ended before the call did, in seconds; None if it did not."""
    failure: str | None = None
    """Why it ended; None if it did not."""

    def as_text(self) -> str:
        """Return the file, and what is wrong with the recording if something is."""
        if self.failure is not None:
            return f"{self.file}, which ended after {self.failed_at_s:.1f} s: {self.failure}"
        return f"{self.file}, {self.dropped_s:.1f} s missing" if self.dropped_s else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """Everything worth keeping about one call."""

    call_id: str | None = None
    end: End | None = None
    """How it ended; None while it runs."""
    error: Exception | None = field(default=None, repr=False)
    """What ended the call, if it did not end in good order."""
    timings_ms: Timings = field(default_factory=Timings)
    duration_s: float | None = None
    """From connected to the end, in seconds; None if it never connected."""
    sent: AudioTotals = field(default_factory=AudioTotals)
    received: AudioTotals = field(default_factory=AudioTotals)
    events: Mapping[str, int] = field(default_factory=dict)
    """Server events by their name on the wire; `unknown` counts all that could not be understood."""
    events_skipped: int = 0
    """Events that a slow reader of `events()` did not get to see."""
    chunks_skipped: int = 0
    """How many chunks slow readers of `audio_chunks()` and `transcript_chunks()` did not get to see."""
    transcript: Transcript = field(default_factory=Transcript, repr=False)
    """Who said what, with exports as text, JSON and WebVTT."""
    handoffs: tuple[HandoffRecord, ...] = ()
    """What the agent asked for, in order, and what became of it."""
    tool_calls: tuple[ToolCallRecord, ...] = ()
    """Which tools were called, in order, and what became of it."""
    transport_path: str | None = None
    """Which way the audio went: `fast`, `packets` or `plain`; None if it never did."""
    stats: CallStats | None = None
    """The media path at the end; None if there never was one."""
    in_t0_monotonic: float | None = None
    """When the first sample of the source was said, monotonic seconds."""
    out_t0_monotonic: float | None = None
    """When position 0 of what was heard was handed to the sink, monotonic seconds."""
    late_frames: int = 0
    """How often the source had nothing ready in time."""
    devices: tuple[DeviceRecord, ...] = ()
    """How the microphone and the speaker fared, if there were any."""
    barge_ins: int = 0
    """How often the agent was cut short because the caller spoke (`CallConfig.barge_in`, `Call.barge_in`)."""
    unheard_s: float = 0.0
    """How much the agent said that nobody heard for that reason, in seconds."""
    recording: RecordingReport | None = None
    """What a `CallRecorder` has recorded; None without one."""
    datagrams_dropped: Mapping[str, int] = field(default_factory=dict)
    """What the ingress guard kept away, by reason."""

    def as_dict(self) -> dict[str, object]:
        """Return JSON-ready values: the keys of `rtc-client call --json`, without `exit_status`."""
        error = None if self.error is None else {"type": type(self.error).__name__, "message": str(self.error)}
        return {
            "call_id": self.call_id,
            "end": None if self.end is None else asdict(self.end),
            "error": error,
            "timings_ms": asdict(self.timings_ms),
            "duration_s": self.duration_s,
            "audio": {"sent": asdict(self.sent), "received": asdict(self.received)},
            "events": dict(self.events),
            "events_skipped": self.events_skipped,
            "chunks_skipped": self.chunks_skipped,
            "transcript": self.transcript.as_json(),
            "handoffs": [asdict(record) for record in self.handoffs],
            "tool_calls": [asdict(record) for record in self.tool_calls],
            "transport_path": self.transport_path,
            "stats": None if self.stats is None else self.stats.as_dict(),
            "in_t0_monotonic": self.in_t0_monotonic,
            "out_t0_monotonic": self.out_t0_monotonic,
            "late_frames": self.late_frames,
            "devices": [asdict(record) for record in self.devices],
            "barge_ins": self.barge_ins,
            "unheard_s": self.unheard_s,
            "recording": None if self.recording is None else asdict(self.recording),
            "datagrams_dropped": dict(self.datagrams_dropped),
        }

    def as_text(self) -> str:
        """Return a report for people, a few lines and then the transcript."""
        end = self.end
        unnamed = "was never answered" if self.duration_s is None else "over a websocket"
        lines = [f"call      {self.call_id or unnamed}"]
        if end is not None:
            lines.append(f"ended     {end.reason} by the {end.by}" + (f": {end.detail}" if end.detail else ""))
        if self.duration_s is not None:
            lines.append(f"duration  {self.duration_s:.1f} s")
        phases = [f"{name} {ms:.0f}" for name, ms in asdict(self.timings_ms).items() if ms is not None]
        if phases:
            lines.append("timings   " + ", ".join(phases) + " (ms)")
        for name, totals in (("sent", self.sent), ("received", self.received)):
            if totals.packets:
                level = "" if totals.level_dbfs is None else f", {totals.level_dbfs:.0f} dBFS"
                lost = "" if totals.lost is None else f", {totals.lost} lost"
                lines.append(f"{name:<9} {totals.packets} packets, {totals.bytes} bytes{lost}{level}")
        if self.barge_ins:
            lines.append(f"barge-ins {self.barge_ins}, {self.unheard_s:.1f} s not heard")
        lines += [_device_line(record) for record in self.devices]
        if self.recording is not None:
            lines.append(f"recorded  {self.recording.as_text()}")
        if self.handoffs:
            fates = Counter(record.outcome or record.fate for record in self.handoffs)
            lines.append("handoffs  " + ", ".join(f"{n} {fate.replace('_', ' ')}" for fate, n in fates.items()))
        if self.tool_calls:
            calls = Counter((record.name, record.outcome or "at_work") for record in self.tool_calls)
            counts = (f"{n} {name} {outcome.replace('_', ' ')}" for (name, outcome), n in calls.items())
            lines.append("tools     " + ", ".join(counts))
        lines += [f"{entry.role + ':':<9} {entry.as_words()}" for entry in self.transcript]
        return "\n".join(lines)


def _device_line(record: DeviceRecord) -> str:
    counted = {"xruns": record.xruns, "underruns": record.underruns, "overflows": record.overflows}
    parts = [record.name, *(f"{n} {name}" for name, n in counted.items() if n)]
    if record.losses:
        times = "once" if record.losses == 1 else f"{record.losses} times"
        parts.append(f"lost {times}, silent for {record.silent_s:.1f} s")
    return f"{record.role:<9} " + ", ".join(parts)
