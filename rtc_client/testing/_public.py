"""The public names of the fake answerer, each imported from the file that defines it."""

from rtc_client.testing.answerer import FakeAnswerer
from rtc_client.testing.calls.answered_call import AnsweredCall, CallEnd
from rtc_client.testing.faults.faults import Fault, Faults
from rtc_client.testing.network.udp_relay import Impairment, Network
from rtc_client.testing.scenario.rehearsal import Rehearsal, rehearse
from rtc_client.testing.scenario.scenario import (
    EndCall,
    Expect,
    ExpectHangUp,
    ExpectNot,
    ExpectSilence,
    ExpectSpeech,
    RequestHandoff,
    Scenario,
    SendEvent,
    SendFrame,
    SendSessionUpdated,
    StartFault,
)
from rtc_client.testing.scenario.script import (
    AfterCaller,
    AfterMessage,
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
from rtc_client.testing.scenario.toml_file import ScenarioInvalid, load_scenario, parse_scenario
from rtc_client.testing.scenario.verdict import Outcome, ScenarioFailed, ScenarioReport, StepReport
from rtc_client.testing.server.client_secrets import MintedKey
from rtc_client.testing.server.sip import SipCall, SipState
from rtc_client.testing.sound.vad import VadSettings
from rtc_client.testing.wire.json_patterns import ANY, CALLER_TEXT, Pattern
from rtc_client.testing.wire.record import SeenRequest, Violation

__all__ = [
    "FakeAnswerer", "AnsweredCall", "CallEnd", "Fault", "Faults", "SeenRequest", "Violation",
    "AgentScript", "SpokenTurn", "Voice", "Tone", "Clip", "Echo", "When", "AtTime", "AfterCaller", "AfterPrevious",
    "AfterMessage", "Scenario", "SendEvent", "SendFrame", "SendSessionUpdated", "RequestHandoff", "StartFault",
    "EndCall",
    "Expect", "ExpectNot", "ExpectSpeech", "ExpectSilence", "ExpectHangUp", "Pattern", "ANY", "CALLER_TEXT",
    "ScenarioReport", "StepReport", "Outcome", "ScenarioFailed", "load_scenario", "parse_scenario", "ScenarioInvalid",
    "rehearse", "Rehearsal",
    "VadSettings", "Impairment", "Network", "SipCall", "SipState", "MintedKey",
]  # fmt: skip
