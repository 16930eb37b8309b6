"""Scenarios, as frozen values: what the agent does in a call, and what it expects of the client.

The steps come one after the other. When each begins is its `when`; the next one waits until it is over, unless its
`wait` is false. Who goes through them is `performance.py`, what came of them `verdict.py`; `toml_file.py` reads
them from a file.

Each message of the client counts once: for the first step that waits for such a message, also when it came before that
step had begun. So nothing depends on who is quicker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from rtc_client.testing.faults.by_name import check_fault
from rtc_client.testing.scenario.script import (
    AfterMessage,
    AfterPrevious,
    AgentScript,
    SpokenTurn,
    When,
    check_limit,
    check_seconds,
    is_endless,
)
from rtc_client.testing.sound.vad import VadSettings
from rtc_client.testing.wire.json_patterns import ANY, CALLER_TEXT, Pattern, check_pattern
from rtc_client.testing.wire.server_events import JsonObject, dump

EXPECTED_WITHIN_S: Final = 5.0
NEXT: Final = AfterPrevious()


@dataclass(frozen=True, slots=True, kw_only=True)
class SendEvent:
    """Send a server event over the sideband, as soon as the client has joined it.

    Raises:
        ValueError: It has no type.
    """

    event: JsonObject = field(repr=False)
    when: When = NEXT

    def __post_init__(self) -> None:
        try:
            dump(self.event)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the event is no JSON: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFrame:
    """Send a frame as it is, whatever it holds: text, or binary if it is bytes."""

    frame: str | bytes = field(repr=False)
    when: When = NEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSessionUpdated:
    """Tell the client by `session.updated` that its session has changed (protocol.md section 7)."""

    session: JsonObject = field(default_factory=dict, repr=False)
    """Its fields besides id and type."""
    when: When = NEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHandoff:
    """Request a handoff, and check the answer to it (protocol.md section 9)."""

    input_transcript: str = field(repr=False)
    answer: object = field(default_factory=lambda: ANY)
    """Pattern of the answer's `output_text`; a string also fits with the prefix of section 9. None: none is awaited."""
    within_s: float = EXPECTED_WITHIN_S
    """How long the client may take to answer."""
    handoff_id: str | None = None
    """None: `handoff_1`, `handoff_2` and so on."""
    item_id: str | None = None
    """None: `item_1`, `item_2` and so on."""
    when: When = NEXT
    wait: bool = True

    def __post_init__(self) -> None:
        check_pattern(self.answer, "the answer")
        check_limit(self.within_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """The client sends a message that fits `message` within so many seconds."""

    message: Pattern = field(repr=False)
    within_s: float = EXPECTED_WITHIN_S
    when: When = NEXT
    wait: bool = True

    def __post_init__(self) -> None:
        check_pattern(self.message)
        check_limit(self.within_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectNot:
    """The client sends no message that fits `message`, from now on for so many seconds."""

    message: Pattern = field(repr=False)
    for_s: float
    when: When = NEXT
    wait: bool = True

    def __post_init__(self) -> None:
        check_pattern(self.message)
        check_seconds("for_s", self.for_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectSpeech:
    """The caller speaks, or begins to within so many seconds (`Scenario.hearing` says what speech is)."""

    within_s: float = EXPECTED_WITHIN_S
    when: When = NEXT
    wait: bool = True

    def __post_init__(self) -> None:
        check_limit(self.within_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectSilence:
    """The caller says nothing, from now on for so many seconds."""

    for_s: float
    when: When = NEXT
    wait: bool = True

    def __post_init__(self) -> None:
        check_seconds("for_s", self.for_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectHangUp:
    """The client ends the call within so many seconds."""

    within_s: float = EXPECTED_WITHIN_S
    when: When = NEXT

    def __post_init__(self) -> None:
        check_limit(self.within_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFault:
    """Let a fault begin: any of `Faults`, by its name. Over at once; the fault itself goes on.

    Faults that stand at the very beginning of a scenario are there before the call is, so that its POST meets them.
    A fault that nobody has met when the call is over is an error.
    """

    name: str
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    """What the method of that name takes."""
    lasts_s: float | None = None
    """End it after so many seconds; None: with the call."""
    when: When = NEXT

    def __post_init__(self) -> None:
        check_fault(self.name, self.options)
        check_limit(self.lasts_s, "lasts_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndCall:
    """Hang up. Nothing comes after it."""

    when: When = NEXT


Observation: TypeAlias = Expect | ExpectNot | ExpectSpeech | ExpectSilence | ExpectHangUp
Expectation: TypeAlias = RequestHandoff | Observation
Step: TypeAlias = SpokenTurn | SendEvent | SendFrame | SendSessionUpdated | StartFault | EndCall | Expectation
Reaction: TypeAlias = SpokenTurn | SendEvent | SendFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One call, from the answerer's side. Every call of an answerer goes through it again.

    Raises:
        StepInvalid: A step cannot stand where it is; a ValueError that says which.
        ValueError: A setting is out of range.
    """

    steps: Sequence[Step] = ()
    whenever: Sequence[Reaction] = ()
    """Done each time a message comes, before the steps that wait; the `when` of each is an `AfterMessage`."""
    name: str = ""
    seed: int = 0
    """Of everything that is drawn: the same seed gives the same call."""
    begins: Literal["media", "answer"] = "media"
    """Whether time counts from media connected, or from the answer to the offer."""
    caller_text: str | Sequence[str] | None = field(default=None, repr=False)
    """What the agent "understands" of the caller: one text for each time the caller speaks."""
    silence: Literal["send", "nothing"] = "send"
    """Between turns: send silent packets, or nothing at all."""
    hang_up_after_s: float | None = None
    """Hang up this long after the beginning, whatever is left."""
    hang_up_when_done: bool = False
    """Hang up when all steps are over, and every `whenever` was done at least once."""
    hearing: VadSettings = field(default_factory=VadSettings)
    must_finish: bool = True
    """Whether steps that are left over, and faults that nobody met, are errors."""

    def __post_init__(self) -> None:
        for n, step in enumerate(self.steps[:-1], start=1):
            if is_endless(step):
                raise StepInvalid(n, "an echo without duration_s never ends, so it must be the last step")
            if isinstance(step, EndCall):
                raise StepInvalid(n, "nothing can come after the end of the call")
        for n, reaction in enumerate(self.whenever, start=1):
            if not isinstance(reaction.when, AfterMessage):
                raise ValueError(f"whenever {n}: its `when` must be AfterMessage")  # noqa: TRY004
        check_limit(self.hang_up_after_s, "hang_up_after_s")
        for n, fault in enumerate(self.opening_faults, start=1):
            if fault.name == "refuse_connections":
                raise StepInvalid(n, "a call could not begin: refuse_connections cannot be the first step")

    @property
    def caller_texts(self) -> tuple[str, ...]:
        """The texts of the caller's turns, in order."""
        if self.caller_text is None:
            return ()
        return (self.caller_text,) if isinstance(self.caller_text, str) else tuple(self.caller_text)

    @property
    def opening_faults(self) -> tuple[StartFault, ...]:
        """The faults that are there before the call is."""
        opening: list[StartFault] = []
        for step in self.steps:
            if not isinstance(step, StartFault) or step.when != NEXT:
                break
            opening.append(step)
        return tuple(opening)


class StepInvalid(ValueError):
    """A step cannot stand where it stands; `number` counts from 1."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"step {number}: {why}")
        self.number = number
        self.why = why


def scenario_of(script: AgentScript) -> Scenario:
    """Return a script as a scenario; what it leaves unsaid is no error."""
    reply = script.reply_to_text
    answer = AfterMessage(CALLER_TEXT)
    return Scenario(
        steps=tuple(script.turns),
        whenever=() if reply is None else (SpokenTurn(voice=reply.voice, text=reply.text, when=answer),),
        caller_text=script.caller_text,
        silence=script.silence,
        hang_up_after_s=script.hang_up_after_s,
        hang_up_when_done=script.hang_up_when_done,
        hearing=script.hearing,
        must_finish=False,
    )
