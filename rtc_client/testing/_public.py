"""The public names of the fake answerer, each from its own file; `rtc_client.testing` hands them out. No code."""

from rtc_client.testing.answerer import FakeAnswerer
from rtc_client.testing.call import AnsweredCall, CallEnd
from rtc_client.testing.faults import Faults
from rtc_client.testing.record import SeenRequest, Violation
from rtc_client.testing.relay import Impairment, Network
from rtc_client.testing.script import (
    AfterCaller,
    AfterPrevious,
    AgentScript,
    AtTime,
    Clip,
    Echo,
    SpokenTurn,
    Tone,
    Voice,
    When,
)
from rtc_client.testing.vad import VadSettings

__all__ = [
    "FakeAnswerer", "AnsweredCall", "CallEnd", "Faults", "SeenRequest", "Violation",
    "AgentScript", "SpokenTurn", "Voice", "Tone", "Clip", "Echo", "When", "AtTime", "AfterCaller", "AfterPrevious",
    "VadSettings", "Impairment", "Network",
]  # fmt: skip
