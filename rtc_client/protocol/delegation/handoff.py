"""Handoffs: what was said since the last one, the text a delegate gets, and the limits of its answer.

No handler is run here (`call/tools/handoffs.py`), and no wire name is known (`protocol/wire/codec.py`). The rules are
those of protocol.md section 9; where its figures leave room, the reference client's public source settled it:
codex-api's `update_active_transcript`, core's `truncate_realtime_text_to_token_budget`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from rtc_client.protocol.wire.commands import AppendHandoffOutput, Command, check_text

OUTPUT_PREFIX: Final = '"Agent Final Message":\n\n'
"""Stands before what answers a handoff, quotes included."""
STANDALONE_ID: Final = "codex"
"""The handoff id of output that answers no handoff."""
BYTES_PER_TOKEN: Final = 4
"""What the reference client takes a token for."""
MAX_OUTPUT_TOKENS: Final = 1_000
"""An output text that is longer is cut in the middle; its prefix is not counted."""
MAX_CHARS: Final = 1_000_000
"""Of the session's transcript that is kept; the oldest entries go."""

SpokenBy: TypeAlias = Literal["user", "assistant"]
"""The roles of an active transcript: the caller is the user, the agent the assistant."""
PrefixRule: TypeAlias = Literal["every", "final"]
"""Which messages of a handoff get the prefix: every one, as 0.144.0 has it, or all but progress, as 0.145.0."""
LongOutput: TypeAlias = Literal["cut", "pieces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveEntry:
    """What one side said since the handoff before."""

    role: SpokenBy
    text: str = field(repr=False)


@dataclass(slots=True)
class _Entry:
    role: SpokenBy
    pieces: list[str]

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


class ActiveTranscript:
    """The transcript as a delegate gets it: each handoff takes what was said since the one before.

    It is not the call's transcript: entries are joined by other rules, and a request is part of it.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._n_taken = 0
        """Entries before this index were part of a handoff."""
        self._begins_new: set[SpokenBy] = set()
        """Roles whose next words belong to no entry there is: a handoff came in between."""
        self._chars = 0

    def add_delta(self, role: SpokenBy, delta: str) -> None:
        """Join a piece of text to the last entry, if that is of the same role, else begin one."""
        if delta:
            self._growing(role).pieces.append(delta)
            self._chars += len(delta)
            self._forget_oldest()

    def settle(self, role: SpokenBy, text: str) -> None:
        """Set the whole text of the last entry, if that is of the same role, else add one."""
        if text:
            entry = self._growing(role)
            self._chars += len(text) - len(entry.text)
            entry.pieces = [text]
            self._forget_oldest()

    def take(self, input_transcript: str) -> tuple[ActiveEntry, ...]:
        """Return the entries that a handoff gets, and begin new ones for the next.

        The request, trimmed and if it is not empty, is the last of them, unless any user entry of the whole session
        already says just that.
        """
        asked = input_transcript.strip()
        if asked and not any(e.role == "user" and e.text.strip() == asked for e in self._entries):
            self._entries.append(_Entry("user", [asked]))
            self._chars += len(asked)
        taken = self._entries[self._n_taken :]
        self._n_taken = len(self._entries)
        self._begins_new = {"user", "assistant"}
        return tuple(ActiveEntry(role=e.role, text=e.text) for e in taken)

    def _growing(self, role: SpokenBy) -> _Entry:
        last = self._entries[-1] if self._entries else None
        if last is None or last.role != role or role in self._begins_new:
            last = _Entry(role, [])
            self._entries.append(last)
        # Not for an empty piece: the reference client then joins what comes next to an entry that was told already.
        self._begins_new.discard(role)
        return last

    def _forget_oldest(self) -> None:
        n_gone = 0
        while self._chars > MAX_CHARS and n_gone < len(self._entries) - 1:
            self._chars -= len(self._entries[n_gone].text)
            n_gone += 1
        if n_gone:
            del self._entries[:n_gone]
            self._n_taken = max(0, self._n_taken - n_gone)


def transcript_text(entries: Sequence[ActiveEntry]) -> str:
    """Return an active transcript as text, a line for each entry: `user: …`."""
    return "\n".join(f"{entry.role}: {entry.text}" for entry in entries)


def delegation_input(input_transcript: str, entries: Sequence[ActiveEntry]) -> str:
    """Return what is asked for: the request, or the transcript where the request is empty. May be empty too."""
    return input_transcript or transcript_text(entries)


def delegation_text(input_transcript: str, entries: Sequence[ActiveEntry]) -> str:
    """Return the user turn that the reference client makes of a request, for a model to read."""
    said = transcript_text(entries)
    lines = ["<realtime_delegation>", f"  <input>{_escaped(delegation_input(input_transcript, entries))}</input>"]
    if said:
        lines.append(f"  <transcript_delta>{_escaped(said)}</transcript_delta>")
    return "\n".join([*lines, "</realtime_delegation>"])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def approximate_tokens(text: str) -> int:
    """Return how many tokens the reference client takes `text` for: a fourth of its UTF-8 bytes, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def truncate_middle(text: str, max_tokens: int) -> str:
    """Return `text`, without its middle if it is longer than `max_tokens`; the mark in its place is not counted.

    A character that would be torn goes. The mark counts the tokens beyond the limit, not those that really went.
    """
    whole = text.encode()
    max_bytes = max_tokens * BYTES_PER_TOKEN
    if len(whole) <= max_bytes:
        return text
    n_head = max_bytes // 2
    n_tail = max_bytes - n_head
    head = whole[:n_head].decode(errors="ignore")
    tail = whole[len(whole) - n_tail :].decode(errors="ignore") if n_tail else ""
    return f"{head}…{-(-(len(whole) - max_bytes) // BYTES_PER_TOKEN)} tokens truncated…{tail}"


def cut_output(text: str, max_tokens: int = MAX_OUTPUT_TOKENS) -> str:
    """Return `text` cut in the middle so that it has at most `max_tokens`, the mark of the cut included.

    Empty if not even the mark fits.
    """
    limit = max_tokens
    while True:
        cut = truncate_middle(text, limit)
        excess = approximate_tokens(cut) - max_tokens
        if excess <= 0:
            return cut
        if limit == 0:
            return ""
        limit = max(0, limit - excess)


def split_output(text: str, max_bytes: int) -> list[str]:
    """Return `text` in pieces of at most `max_bytes` of UTF-8 each, which joined are `text` again.

    A piece ends after a line, else after a space, else after a character: whichever leaves it at least half full.

    Raises:
        ValueError: `max_bytes` has no room for any character (4 bytes).
    """
    if max_bytes < 4:
        raise ValueError("a piece needs room for a character: 4 bytes")
    pieces: list[str] = []
    rest = text.encode()
    while len(rest) > max_bytes:
        room = rest[:max_bytes].decode(errors="ignore").encode()
        ends = (room.rfind(mark) + 1 for mark in (b"\n", b" "))
        n_bytes = next((end for end in ends if end > max_bytes // 2), len(room))
        pieces.append(rest[:n_bytes].decode())
        rest = rest[n_bytes:]
    return [*pieces, rest.decode()] if rest else pieces


class HandoffReplies(Protocol):
    """How a dialect reports the outcome of a handoff: each method returns the commands that say it, in order."""

    @property
    def moves_to_latest(self) -> bool:
        """Whether the latest request takes over the output that is under way."""
        ...

    def output(self, handoff_id: str, text: str, *, is_progress: bool) -> Sequence[Command]:
        """A text that answers a handoff, or says how far it is."""
        ...

    def steered(self, handoff_id: str) -> Sequence[Command]:
        """A request went to the handler that is running."""
        ...

    def finished(self, handoff_id: str) -> Sequence[Command]:
        """A handler came to its end, whichever."""
        ...

    def declined(self, handoff_id: str) -> Sequence[Command]:
        """Nobody works on a request, and nobody will."""
        ...

    def by_hand(self, text: str, handoff_id: str | None) -> Sequence[Command]:
        """A text that the program sends: to a handoff, or to none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class V1Replies:
    """Realtime v1: texts are appended to the latest handoff; nothing marks their end (section 9)."""

    prefix: PrefixRule = "every"
    long_output: LongOutput = "cut"

    moves_to_latest = True

    def output(self, handoff_id: str, text: str, *, is_progress: bool) -> Sequence[Command]:
        is_bare = is_progress and self.prefix == "final"
        return appended(handoff_id, text, "" if is_bare else OUTPUT_PREFIX, long_output=self.long_output)

    def steered(self, handoff_id: str) -> Sequence[Command]:
        return ()

    def finished(self, handoff_id: str) -> Sequence[Command]:
        return ()

    def declined(self, handoff_id: str) -> Sequence[Command]:
        return ()

    def by_hand(self, text: str, handoff_id: str | None) -> Sequence[Command]:
        if handoff_id is None:
            return appended(STANDALONE_ID, text, long_output=self.long_output)
        return appended(handoff_id, text, OUTPUT_PREFIX, long_output=self.long_output)


def appended(handoff_id: str, text: str, prefix: str = "", *, long_output: LongOutput = "cut") -> Sequence[Command]:
    """Return the commands that append `text` to a handoff, none if there is nothing in it but white space.

    Too long a text is cut in the middle, or comes in pieces, of which only the first has the prefix.

    Raises:
        ConfigError: The text cannot be sent as UTF-8.
    """
    texts = output_texts(text, prefix, long_output=long_output)
    return tuple(AppendHandoffOutput(handoff_id=handoff_id, output_text=text) for text in texts)


def output_texts(text: str, prefix: str = "", *, long_output: LongOutput = "cut") -> Sequence[str]:
    """Return the texts that say `text` within the limit, as `appended` does, whatever carries them."""
    check_text("the output of a handoff", text)
    if not text.strip():
        return ()
    if long_output == "cut":
        return [prefix + cut_output(text)]
    return split_output(prefix + text, MAX_OUTPUT_TOKENS * BYTES_PER_TOKEN)
