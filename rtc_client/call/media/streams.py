"""Subscriptions to a call's decoded audio and to the pieces of its transcript.

The log of all events, which every reader gets from the first one on, is `call/events/event_log.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from weakref import WeakSet

from rtc_client.audio.frames import SAMPLE_RATE_HZ, PcmFrame, Samples
from rtc_client.call.media.receiver import AgentReceiver
from rtc_client.protocol.transcript.transcript import Role
from rtc_client.protocol.wire import events as ev

AUDIO_CAPACITY_S: Final = 600.0
"""Ten minutes of speech, 29 MB: over a websocket a whole response may come at once."""
TEXT_CAPACITY_CHARS: Final = 1_000_000
CAPACITY_CHUNKS: Final = 32_768

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AudioChunk:
    """Sound of the agent. Over a websocket a piece as it came, mostly before it is heard; else 20 ms as played."""

    samples: Samples = field(repr=False)
    """int16, shape `(n_samples,)`, mono, 24 kHz; not to be written to."""
    position_samples: int | None = None
    """Where it lies in the recording of the call, in samples; None over a websocket, where it is played later."""
    response_id: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    """Which output of its response; None, like the other three, where the dialect has none."""
    content_index: int | None = None
    """Which part of the item's content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptChunk:
    """A piece of what one voice says, or all that it said in a turn, as the server tells it."""

    role: Role
    text: str = field(repr=False)
    """A piece; with `is_final` the whole text, which takes the place of the pieces."""
    is_final: bool
    response_id: str | None = None
    """None, like the others, where the dialect has none, and for the caller."""
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None


class SubscriptionReader(Generic[T], AsyncIterator[T]):
    """One reader's queue: yields what comes from when it was made to the end of the call, and then ends, every time.

    Cancelling a step loses nothing. Tasks that share it share its items.
    """

    def __init__(self) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._is_over = False
        self._error: Exception | None = None

    async def __anext__(self) -> T:
        while not self._items:
            if self._is_over:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        item, size = self._items.popleft()
        self._size -= size
        return item

    def put(self, item: T, size: int, capacity: int) -> int:
        """Append an item; return how many of the oldest had to go for it."""
        self._items.append((item, size))
        self._size += size
        dropped = 0
        while len(self._items) > 1 and (self._size > capacity or len(self._items) > CAPACITY_CHUNKS):
            self._size -= self._items.popleft()[1]
            dropped += 1
        self._news.set()
        return dropped

    def end(self, error: Exception | None) -> None:
        """Let it end, by `error` if there is one, behind what it has not read yet."""
        self._is_over, self._error = True, error
        self._news.set()


class Subscription(Generic[T]):
    """Items for any number of readers, none of which can hold the call, or another, up.

    Overflow policy: a reader that falls `capacity` behind (in units of what `put` calls size), or `CAPACITY_CHUNKS`,
    loses the oldest, counted in `dropped`. Without a reader nothing is kept, and a reader that nobody holds is none.
    """

    def __init__(self, capacity: int, on_first: Callable[[], object] | None = None) -> None:
        """`on_first` is told when somebody begins to read."""
        self._capacity = capacity
        self._on_first = on_first
        self._readers: WeakSet[SubscriptionReader[T]] = WeakSet()
        self._end: tuple[Exception | None] | None = None
        self.dropped = 0

    @property
    def is_read(self) -> bool:
        """Whether there is any reader."""
        return bool(self._readers)

    def subscribe(self) -> SubscriptionReader[T]:
        """Return a reader of all that comes from now on; once the stream is over, one that ends as it did."""
        reader = SubscriptionReader[T]()
        if self._end is not None:
            reader.end(*self._end)
        else:
            self._readers.add(reader)
            if self._on_first is not None:
                self._on_first()
        return reader

    def put(self, item: T, size: int) -> None:
        """Hand an item to every reader. Never waits."""
        for reader in self._readers:
            self.dropped += reader.put(item, size, self._capacity)

    def close(self, error: Exception | None) -> None:
        """Let every reader end once it has read the rest: by `error`, or quietly when there is none."""
        if self._end is None:
            self._end = (error,)
            for reader in self._readers:
                reader.end(error)


class Streams:
    """Both streams of a call. With a `hearing` its frames are the sound, decoded from when somebody reads it."""

    def __init__(self, hearing: AgentReceiver | None) -> None:
        self._hearing = hearing
        self.audio: Subscription[AudioChunk] = Subscription(round(AUDIO_CAPACITY_S * SAMPLE_RATE_HZ), self._listen)
        self.transcript: Subscription[TranscriptChunk] = Subscription(TEXT_CAPACITY_CHARS)

    @property
    def dropped(self) -> int:
        """Chunks that slow readers did not get to see."""
        return self.audio.dropped + self.transcript.dropped

    def _listen(self) -> None:
        if self._hearing is not None:
            self._hearing.listen()
            self._hearing.on_frame = self._played

    def _played(self, frame: PcmFrame) -> None:
        self.hear(AudioChunk(samples=frame.samples, position_samples=frame.position_samples))

    def hear(self, chunk: AudioChunk) -> None:
        """Take sound of the agent's."""
        if self.audio.is_read and len(chunk.samples):
            self.audio.put(chunk, len(chunk.samples))

    def on_event(self, event: ev.ServerEvent) -> None:
        """Take an event of the server."""
        if self.transcript.is_read and (chunk := transcript_chunk(event)) is not None:
            self.transcript.put(chunk, len(chunk.text))

    def close(self, error: Exception | None) -> None:
        """The call is over."""
        self.audio.close(error)
        self.transcript.close(error)


def transcript_chunk(event: ev.ServerEvent) -> TranscriptChunk | None:
    """Return what an event tells of the transcript; None if it is about something else."""
    match event:
        case ev.AgentTranscriptDelta(delta=text):
            return _agent_chunk(event, text, is_final=False)
        case ev.AgentTranscriptDone(transcript=text) | ev.AgentTextDone(text=text):
            return _agent_chunk(event, text, is_final=True)
        case ev.CallerTranscriptDelta(delta=text, item_id=item_id, content_index=index):
            return TranscriptChunk(role="caller", text=text, is_final=False, item_id=item_id, content_index=index)
        case ev.CallerTranscriptDone(transcript=text, item_id=item_id, content_index=index):
            return TranscriptChunk(role="caller", text=text, is_final=True, item_id=item_id, content_index=index)
        case _:
            return None


def _agent_chunk(
    event: ev.AgentTranscriptDelta | ev.AgentTranscriptDone | ev.AgentTextDone, text: str, *, is_final: bool
) -> TranscriptChunk:
    return TranscriptChunk(
        role="agent",
        text=text,
        is_final=is_final,
        response_id=event.response_id,
        item_id=event.item_id,
        output_index=event.output_index,
        content_index=event.content_index,
    )
