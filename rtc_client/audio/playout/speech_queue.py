"""SpeechQueue: what the agent said over a websocket and the caller has not heard yet.

It knows of every item how much was really heard, which is what a barge-in has to tell the server. Pure: no time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples

CAPACITY_S: Final = 600.0
"""Ten minutes of speech, 29 MB; the longest response has fewer."""


@dataclass(slots=True, eq=False)
class SpeechItem:
    """One content part of an item of the conversation, as far as it came. Samples are at `SAMPLE_RATE_HZ`."""

    item_id: str | None
    """None where the server names none (realtime v1)."""
    content_index: int
    received_samples: int = 0
    heard_samples: int = 0

    @property
    def heard_ms(self) -> int:
        """How much of it was heard, in whole milliseconds: never more than was received."""
        return self.heard_samples * 1000 // SAMPLE_RATE_HZ


class SpeechQueue:
    """Sound in the order in which it came, taken out 20 ms at a time. Not for two threads at once.

    Overflow policy: what comes while `capacity_s` wait is left out and counted; what waits is in the middle of a word.
    """

    def __init__(self, capacity_s: float = CAPACITY_S) -> None:
        self._capacity_samples = round(capacity_s * SAMPLE_RATE_HZ)
        self._waiting: deque[tuple[SpeechItem, Samples]] = deque()
        self._last: SpeechItem | None = None
        self._cut: set[str] = set()
        self._n_samples = 0
        self.dropped_samples = 0
        """Samples for which there was no room."""
        self.playing: SpeechItem | None = None
        """What the frame taken last was of, the later one of two; None when there was none."""
        self.cut_samples = 0
        """Samples that nobody heard because the caller spoke, late ones of what was cut among them."""

    def __len__(self) -> int:
        return self._n_samples

    def push(self, samples: Samples, item_id: str | None = None, content_index: int = 0) -> None:
        """Take what came next: int16, shape `(n_samples,)`; it must not be changed any more."""
        if item_id in self._cut:
            self.cut_samples += len(samples)
            return
        room = max(0, self._capacity_samples - self._n_samples)
        self.dropped_samples += max(0, len(samples) - room)
        samples = samples[:room]
        if len(samples) == 0:
            return
        item = self._last
        if item is None or (item.item_id, item.content_index) != (item_id, content_index):
            item = self._last = SpeechItem(item_id, content_index)
        item.received_samples += len(samples)
        self._waiting.append((item, samples))
        self._n_samples += len(samples)

    def take_frame(self) -> Samples | None:
        """Return the next `FRAME_SAMPLES` samples, the last of them filled up with silence; None when there are none.

        They count as heard.
        """
        if not self._waiting:
            self.playing = None
            return None
        parts, wanted = [], FRAME_SAMPLES
        while wanted and self._waiting:
            item, samples = self._waiting[0]
            part, rest = samples[:wanted], samples[wanted:]
            if len(rest):
                self._waiting[0] = (item, rest)
            else:
                self._waiting.popleft()
            item.heard_samples += len(part)
            self.playing = item
            wanted -= len(part)
            parts.append(part)
        self._n_samples -= FRAME_SAMPLES - wanted
        if wanted:
            parts.append(np.zeros(wanted, dtype=np.int16))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def cut(self, queued_samples: int = 0) -> list[SpeechItem]:
        """Throw away all that was not heard yet; return the items it was of, the one in whose midst it was first.

        What still comes of them is thrown away too, until `begin`. The last `queued_samples` that were taken did not
        come out of the loudspeaker: they were of what is playing, and not heard either.
        """
        items = list({id(item): item for item, _ in self._waiting}.values())
        if queued_samples and (playing := self.playing) is not None:
            playing.heard_samples = max(0, playing.heard_samples - queued_samples)
            items = items if playing in items else [playing, *items]
        self._cut |= {item.item_id for item in items if item.item_id is not None}
        self.cut_samples += self._n_samples
        self._waiting.clear()
        self._n_samples, self._last = 0, None
        return items

    def begin(self) -> None:
        """Another response begins: what is cut is over."""
        self._cut.clear()
        self._last = None
