"""DecodedPlayout: one contiguous stream of frames that come in order, late, in bursts or not at all. Pure.

Two places are known for every frame: where its timestamp says it lies, relative to the frames before it, and where it
arrived. The timestamp is right as long as it maps to a place near the arrival, whatever the network's jitter; it is
wrong for ever after the sender restarts its clock or lets it stand still in a pause. One frame out of place cannot
tell that from a burst of delayed frames that is catching up, but the next one can: frames of a restarted clock keep
coming at the pace of their timestamps, frames of a burst come faster. So such frames are held until that is known,
which is usually one frame later.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, PcmFrame, Samples


@dataclass(frozen=True, slots=True, eq=False)
class _Arrival:
    samples: Samples
    timestamp_samples: int
    due_samples: int
    """Position that was due when it came."""


class DecodedPlayout:
    """Places frames on the time of the call: position 0 is `origin_s`, the end is where `finish` is called.

    What comes out is contiguous from 0: silence wherever nothing was received. It never runs further ahead of now
    than `patience_s` and one frame, and `advance` never lets it fall further behind than `patience_s` and one frame.
    A place more than `reanchor_s` behind the arrival is not believed unless the stream is catching up.
    All times are monotonic seconds of one clock; a `now_s` that goes back counts as standing still.
    """

    def __init__(
        self,
        origin_s: float,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        patience_s: float = 0.4,
        reanchor_s: float = 0.5,
    ) -> None:
        self._origin_s = origin_s
        self._sample_rate_hz = sample_rate_hz
        self._patience_samples = round(patience_s * sample_rate_hz)
        self._reanchor_samples = round(reanchor_s * sample_rate_hz)
        self._due_samples = 0
        self._end_samples = 0
        self._is_anchored = False
        self._offset_samples = 0
        self._held: deque[_Arrival] = deque()
        self._out: list[PcmFrame] = []
        self.received_samples = 0
        """Samples that were pushed."""
        self.filled_samples = 0
        """Samples of silence that were put where nothing was."""
        self.late_samples = 0
        """Samples thrown away because their place was already filled."""
        self.early_samples = 0
        """Samples thrown away because the sender was more than the patience ahead of time."""
        self.reanchors = 0
        """How often the timestamps were mapped again."""

    def push(self, samples: Samples, timestamp_samples: int, now_s: float) -> list[PcmFrame]:
        """Take a frame, int16, shape `(n_samples,)`, that has just arrived; return what can be played now.

        The first frame lies at its arrival. `timestamp_samples` counts samples from any origin.
        """
        self._move_to(now_s)
        self.received_samples += len(samples)
        if len(samples) == 0:
            return []
        arrival = _Arrival(samples, timestamp_samples, self._due_samples)
        if not self._is_anchored:
            self._is_anchored = True
            self._offset_samples = arrival.due_samples - timestamp_samples
        if not self._is_out_of_place(arrival):
            self._place_held()
            self._place(arrival)
        else:
            self._held.append(arrival)
            if self._keeps_pace():
                self._reanchor()
            while sum(len(held.samples) for held in self._held) > self._patience_samples:
                self._place(self._held.popleft())
        return self._take_out()

    def advance(self, now_s: float) -> list[PcmFrame]:
        """Return silence up to `patience_s` ago, in whole frames, if nothing has come since; call it now and then."""
        self._move_to(now_s)
        if self._held and self._held[0].due_samples < self._due_samples - self._patience_samples:
            self._decide()
        while self._end_samples + FRAME_SAMPLES <= self._due_samples - self._patience_samples:
            self._fill(self._end_samples + FRAME_SAMPLES)
        return self._take_out()

    def finish(self, now_s: float) -> list[PcmFrame]:
        """Return what is left, and silence up to now: the stream is as long as the call, to the sample.

        It is longer only if frames of the last moment reach beyond now, within the bounds of this class.
        """
        self._move_to(now_s)
        self._decide()
        self._fill(self._due_samples)
        return self._take_out()

    def _move_to(self, now_s: float) -> None:
        self._due_samples = max(self._due_samples, round((now_s - self._origin_s) * self._sample_rate_hz))

    def _place_of(self, arrival: _Arrival) -> int:
        return arrival.timestamp_samples + self._offset_samples

    def _is_out_of_place(self, arrival: _Arrival) -> bool:
        place = self._place_of(arrival)
        return (
            place + len(arrival.samples) <= self._end_samples
            or place < arrival.due_samples - self._reanchor_samples
            or place > arrival.due_samples + self._patience_samples
        )

    def _keeps_pace(self) -> bool:
        """Whether the held frames came about as slowly as their timestamps say."""
        first, last = self._held[0], self._held[-1]
        said_samples = last.timestamp_samples - first.timestamp_samples
        return said_samples > 0 and 2 * (last.due_samples - first.due_samples) >= said_samples

    def _decide(self) -> None:
        """Place what is held, although nothing more came to tell what it is: one alone at its arrival."""
        if len(self._held) == 1:
            self._reanchor()
        self._place_held()

    def _reanchor(self) -> None:
        first = self._held[0]
        self._offset_samples = max(first.due_samples, self._end_samples) - first.timestamp_samples
        self.reanchors += 1
        self._place_held()

    def _place_held(self) -> None:
        while self._held:
            self._place(self._held.popleft())

    def _place(self, arrival: _Arrival) -> None:
        """Put a frame where the mapping says, without what lies beyond the end, and with silence before it."""
        place = self._place_of(arrival)
        n_late = min(max(0, self._end_samples - place), len(arrival.samples))
        self.late_samples += n_late
        rest = arrival.samples[n_late:]
        if len(rest) == 0:
            return
        if place > self._due_samples + self._patience_samples:
            self.early_samples += len(rest)
            return
        self._fill(place)
        self._emit(rest)

    def _fill(self, position_samples: int) -> None:
        while self._end_samples < position_samples:
            silence = SILENCE[: position_samples - self._end_samples]
            self.filled_samples += len(silence)
            self._emit(silence)

    def _emit(self, samples: Samples) -> None:
        self._out.append(PcmFrame(samples, self._end_samples))
        self._end_samples += len(samples)

    def _take_out(self) -> list[PcmFrame]:
        out, self._out = self._out, []
        return out
