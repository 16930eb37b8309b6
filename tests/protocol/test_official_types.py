"""Our samples, our types and our commands, judged by the types of the official SDK, which we did not write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import get_args

import pytest
from openai.types import realtime as sdk
from openai.types.realtime.realtime_server_event import RealtimeServerEvent as SdkServerEvent
from pydantic import BaseModel

import rtc_client
from rtc_client.protocol.wire import codec
from rtc_client.protocol.wire.codec import dump_command
from rtc_client.protocol.wire.model import Model
from tests.protocol.samples import GA, Sample
from tests.protocol.sent_commands import SENT

SDK_EVENTS: Mapping[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(SdkServerEvent)[0])
}
SDK_COMMANDS: Mapping[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(sdk.RealtimeClientEvent)[0])
}

FROM_THE_SERVER = {"id", "object", "expires_at"}
"""Fields of a session that the SDK's type of `session.*` leaves out, and the reference shows."""


def strangers(value: object) -> Iterator[str]:
    """Yield the names of fields that a model of the SDK has taken without knowing them, at any depth."""
    if isinstance(value, BaseModel):
        yield from value.model_extra or ()
        for name in type(value).model_fields:
            yield from strangers(getattr(value, name))
    elif isinstance(value, list):
        for one in value:
            yield from strangers(one)


def test_names_are_those_of_the_sdk() -> None:
    """We know every server event that the SDK knows, have a sample of each, and can send every client event."""
    assert SDK_EVENTS.keys() == {sample["type"] for sample in GA}
    assert SDK_EVENTS.keys() <= codec._EVENTS.keys()
    assert SDK_COMMANDS.keys() == {frame["type"] for _, frame in SENT} - {"conversation.handoff.append"}


@pytest.mark.parametrize("sample", GA, ids=lambda sample: sample["type"])
def test_samples_are_events_of_the_sdk(sample: Sample) -> None:
    """Each is valid, and has no field that the SDK does not know."""
    event = SDK_EVENTS[sample["type"]].model_validate(sample)

    unknown = set(strangers(event))
    assert unknown <= (FROM_THE_SERVER if sample["type"].startswith("session.") else set())


@pytest.mark.parametrize("name", sorted(SDK_EVENTS.keys() - {"error"}))
def test_our_events_have_every_field_of_the_sdk(name: str) -> None:
    """Nothing that the SDK can read from an event is missing in ours."""
    assert SDK_EVENTS[name].model_fields.keys() <= set(codec._EVENTS[name].__struct_encode_fields__)


JUDGED = [(c, f) for c, f in SENT if f["type"] in SDK_COMMANDS and "item_reference" not in json.dumps(f)]
"""The SDK knows references in its parameters, but not in its models."""


@pytest.mark.parametrize(("command", "frame"), JUDGED)
def test_commands_are_client_events_of_the_sdk(command: rtc_client.Command, frame: Sample) -> None:
    """What we send is valid there, and has no field that is not known there."""
    event = SDK_COMMANDS[frame["type"]].model_validate(json.loads(dump_command(command)))

    assert list(strangers(event)) == []


PAIRS: list[tuple[type[Model], type[BaseModel]]] = [
    (rtc_client.RealtimeSession, sdk.RealtimeSessionCreateRequest),
    (rtc_client.TranscriptionSession, sdk.RealtimeTranscriptionSessionCreateRequest),
    (rtc_client.AudioInputSettings, sdk.RealtimeAudioConfigInput),
    (rtc_client.AudioOutputSettings, sdk.RealtimeAudioConfigOutput),
    (rtc_client.TranscriptionSettings, sdk.AudioTranscription),
    (rtc_client.ResponseParameters, sdk.RealtimeResponseCreateParams),
    (rtc_client.RetentionRatio, sdk.RealtimeTruncationRetentionRatio),
    (rtc_client.Response, sdk.RealtimeResponse),
    (rtc_client.ResponseStatusDetails, sdk.RealtimeResponseStatus),
    (rtc_client.ErrorDetail, sdk.RealtimeError),
    (rtc_client.Usage, sdk.RealtimeResponseUsage),
    (rtc_client.InputTokens, sdk.RealtimeResponseUsageInputTokenDetails),
    (rtc_client.OutputTokens, sdk.RealtimeResponseUsageOutputTokenDetails),
    (rtc_client.LogProb, sdk.LogProbProperties),
    (rtc_client.MessageItem, sdk.RealtimeConversationItemUserMessage),
    (rtc_client.MessageItem, sdk.RealtimeConversationItemAssistantMessage),
    (rtc_client.FunctionCallItem, sdk.RealtimeConversationItemFunctionCall),
    (rtc_client.FunctionCallOutputItem, sdk.RealtimeConversationItemFunctionCallOutput),
    (rtc_client.McpCallItem, sdk.RealtimeMcpToolCall),
    (rtc_client.McpListToolsItem, sdk.RealtimeMcpListTools),
    (rtc_client.McpApprovalRequestItem, sdk.RealtimeMcpApprovalRequest),
    (rtc_client.McpApprovalResponseItem, sdk.RealtimeMcpApprovalResponse),
    (rtc_client.FunctionTool, sdk.RealtimeFunctionTool),
    (rtc_client.McpTool, sdk.RealtimeResponseCreateMcpTool),
    (rtc_client.ServerVad, sdk.realtime_audio_input_turn_detection.ServerVad),
    (rtc_client.SemanticVad, sdk.realtime_audio_input_turn_detection.SemanticVad),
    (rtc_client.NoiseReduction, sdk.realtime_audio_config_input.NoiseReduction),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_our_models_have_every_field_of_the_sdk(ours: type[Model], theirs: type[BaseModel]) -> None:
    """What the SDK can say of a session, an item, a tool or a response, ours can."""
    known = {*ours.__struct_encode_fields__} | ({"type"} if ours.__struct_config__.tag else set())

    assert theirs.model_fields.keys() <= known
