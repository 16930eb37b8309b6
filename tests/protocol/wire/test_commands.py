"""Every client event: what it is on the wire, what is refused before it is sent, what realtime v1 takes (section 6)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtc_client import (
    UNSET,
    AppendAudio,
    AppendHandoffOutput,
    AudioInputSettings,
    AudioOutputSettings,
    AudioSettings,
    Command,
    CommandFault,
    CreateItem,
    CreateMessage,
    CreateResponse,
    DeleteItem,
    FunctionCallOutputItem,
    FunctionChoice,
    FunctionTool,
    InvalidCommand,
    ItemReference,
    McpApprovalResponseItem,
    McpTool,
    MessageItem,
    NoiseReduction,
    PcmFormat,
    PcmuFormat,
    RealtimeSession,
    ResponseAudio,
    ResponseParameters,
    RetentionRatio,
    RetrieveItem,
    ServerVad,
    SessionSettings,
    TokenLimits,
    ToolFilter,
    TranscriptionAudio,
    TranscriptionSession,
    TranscriptionSettings,
    TruncateItem,
    UnknownModel,
    UpdateSession,
)
from rtc_client.protocol.wire.codec import command_json, dump_command, dump_raw
from rtc_client.protocol.wire.command_rules import MAX_AUDIO_BYTES
from rtc_client.protocol.wire.commands import check_proven
from tests.protocol.sent_commands import HELLO, SENT, response, session

F = CommandFault


PCM = {"type": "audio/pcm", "rate": 24_000}


@pytest.mark.parametrize(("command", "expected"), SENT)
def test_command_is_its_client_event(command: Command, expected: dict[str, Any]) -> None:
    """Each command becomes the object of the API, without what was not set; an `event_id` is written when given."""
    assert json.loads(dump_command(command)) == expected
    assert json.loads(json.dumps(command_json(command))) == expected

    named = msgspec.structs.replace(command, event_id="mine")

    assert json.loads(dump_command(named)) == expected | {"event_id": "mine"}


def test_v2_session_can_say_everything_that_the_reference_client_says() -> None:
    """The session of a direct websocket is written as recorded (protocol.md section 10)."""
    session = RealtimeSession(
        instructions="p",
        output_modalities=("audio",),
        audio=AudioSettings(
            input=AudioInputSettings(
                format=PcmFormat(),
                noise_reduction=NoiseReduction(type="near_field"),
                transcription=TranscriptionSettings(model="gpt-4o-mini-transcribe"),
                turn_detection=ServerVad(interrupt_response=True, create_response=True, silence_duration_ms=500),
            ),
            output=AudioOutputSettings(format=PcmFormat(), voice="marin"),
        ),
        tools=(FunctionTool(name="remain_silent", description="d", parameters={"type": "object"}),),
        tool_choice="auto",
    )

    sent = json.loads(dump_command(UpdateSession(settings=session)))

    vad = {"type": "server_vad", "interrupt_response": True, "create_response": True, "silence_duration_ms": 500}
    heard = {
        "format": PCM,
        "noise_reduction": {"type": "near_field"},
        "transcription": {"model": "gpt-4o-mini-transcribe"},
        "turn_detection": vad,
    }
    tool = {"type": "function", "name": "remain_silent", "description": "d", "parameters": {"type": "object"}}
    assert sent["session"] == {
        "type": "realtime",
        "instructions": "p",
        "output_modalities": ["audio"],
        "audio": {"input": heard, "output": {"format": PCM, "voice": "marin"}},
        "tools": [tool],
        "tool_choice": "auto",
    }


def test_transcription_session_has_no_output() -> None:
    """The session that only transcribes is written as recorded (protocol.md section 10)."""
    heard = AudioInputSettings(format=PcmFormat(), transcription=TranscriptionSettings(model="gpt-4o-mini-transcribe"))
    session = TranscriptionSession(audio=TranscriptionAudio(input=heard))

    sent = json.loads(dump_command(UpdateSession(settings=session)))

    audio = {"input": {"format": PCM, "transcription": {"model": "gpt-4o-mini-transcribe"}}}
    assert sent == {"type": "session.update", "session": {"type": "transcription", "audio": audio}}


@pytest.mark.parametrize("name", ["turn_detection", "transcription", "noise_reduction"])
def test_absent_null_and_a_value_are_three_things(name: str) -> None:
    """What is not named stays as it is, None turns it off, a value sets it."""
    values: dict[object, Any] = {
        UNSET: {},
        None: {name: None},
        "set": {name: {"type": "server_vad"} if name == "turn_detection" else {}},
    }
    on = {"turn_detection": ServerVad(), "transcription": TranscriptionSettings(), "noise_reduction": NoiseReduction()}
    for value, expected in values.items():
        heard = AudioInputSettings(**{name: on[name] if value == "set" else value})  # type: ignore[arg-type]

        sent = json.loads(dump_command(UpdateSession(settings=RealtimeSession(audio=AudioSettings(input=heard)))))

        assert sent["session"]["audio"]["input"] == expected


def test_mcp_tool_writes_its_allow_list_by_the_name_of_the_api() -> None:
    """`allowed_tools`, as names or as a filter."""
    for allowed, expected in ((("a", "b"), ["a", "b"]), (ToolFilter(read_only=True), {"read_only": True})):
        tool = McpTool(server_label="l", server_url="https://example.org", allowed_tools=allowed)

        sent = json.loads(dump_command(UpdateSession(settings=RealtimeSession(tools=(tool,)))))

        assert sent["session"]["tools"][0]["allowed_tools"] == expected


def heard(**settings: Any) -> AudioSettings:
    return AudioSettings(input=AudioInputSettings(**settings))


CONFLICT = ResponseAudio(input=AudioInputSettings(format=PcmuFormat()))


NOWHERE = (McpTool(server_label="l"),)


REFUSED: list[tuple[CommandFault, Callable[[], Command]]] = [
    (F.AUDIO_NOT_BASE64, lambda: AppendAudio(audio="AQI")),
    (F.AUDIO_NOT_BASE64, lambda: AppendAudio(audio="A===")),
    (F.AUDIO_NOT_BASE64, lambda: AppendAudio(audio="AQ=I")),
    (F.AUDIO_NOT_BASE64, lambda: AppendAudio(audio="AQ-_")),
    (F.AUDIO_NOT_BASE64, lambda: AppendAudio(audio="AQI\n")),
    (F.AUDIO_NOT_BASE64, lambda: AppendAudio(audio=b"AQID")),  # type: ignore[arg-type]
    (F.AUDIO_TOO_LONG, lambda: AppendAudio(audio="A" * (MAX_AUDIO_BYTES // 3 * 4 + 4))),
    (F.AUDIO_TOO_LONG, lambda: AppendAudio.from_pcm16(bytes(MAX_AUDIO_BYTES + 1))),
    (F.PCM_RATE, session(audio=heard(format=PcmFormat(rate=16_000)))),
    (F.PCM_RATE, session(audio=AudioSettings(output=AudioOutputSettings(format=PcmFormat(rate=48_000))))),
    (F.PCM_RATE, response(input_audio_format=PcmFormat(rate=8_000))),
    (F.PCM_RATE, response(audio=ResponseAudio(output=AudioOutputSettings(format=PcmFormat(rate=8_000))))),
    (
        F.PCM_RATE,
        lambda: UpdateSession(
            settings=TranscriptionSession(
                audio=TranscriptionAudio(input=AudioInputSettings(format=PcmFormat(rate=16_000)))
            )
        ),
    ),
    (F.FORMAT_CONFLICT, response(input_audio_format=PcmFormat(), audio=CONFLICT)),
    (F.MODALITIES, session(output_modalities=("audio", "text"))),
    (F.MODALITIES, session(output_modalities=())),
    (F.MODALITIES, response(output_modalities="video")),
    (F.TEMPERATURE, session(temperature=2.001)),
    (F.TEMPERATURE, response(temperature=-0.1)),
    (F.TEMPERATURE, response(temperature=float("nan"))),
    (F.TEMPERATURE, response(temperature="hot")),
    (F.MCP_ADDRESS, session(tools=NOWHERE)),
    (F.MCP_ADDRESS, response(tools=NOWHERE)),
    (F.OUT_OF_RANGE, session(audio=heard(turn_detection=ServerVad(threshold=1.5)))),
    (F.OUT_OF_RANGE, session(audio=heard(turn_detection=ServerVad(silence_duration_ms=-1)))),
    (F.OUT_OF_RANGE, session(audio=AudioSettings(output=AudioOutputSettings(speed=2.0)))),
    (F.OUT_OF_RANGE, session(truncation=RetentionRatio(retention_ratio=1.1))),
    (F.OUT_OF_RANGE, session(max_output_tokens=0)),
    (F.OUT_OF_RANGE, response(max_output_tokens="many")),
    (F.OUT_OF_RANGE, lambda: TruncateItem(item_id="i", content_index=0, audio_end_ms=-1)),
    (F.OUT_OF_RANGE, lambda: TruncateItem(item_id="i", content_index=True, audio_end_ms=1)),
    (F.EMPTY_ID, lambda: DeleteItem(item_id="")),
    (F.EMPTY_ID, lambda: RetrieveItem(item_id=None)),  # type: ignore[arg-type]
    (F.EMPTY_ID, lambda: TruncateItem(item_id="", content_index=0, audio_end_ms=1)),
    (F.EMPTY_ID, response(input=(ItemReference(id=""),))),
    (F.UNKNOWN_KIND, lambda: CreateItem(item=UnknownModel(raw={"type": "new"}))),
    (F.UNKNOWN_KIND, lambda: CreateItem(item=MessageItem(role="user", content=(UnknownModel(raw=1),)))),
    (F.UNKNOWN_KIND, session(tools=(UnknownModel(raw={}),))),
]


@pytest.mark.parametrize(("fault", "make"), REFUSED)
def test_what_cannot_work_is_refused_when_it_is_made(fault: CommandFault, make: Callable[[], Command]) -> None:
    """Each fault has its name and a sentence, and nothing was sent yet."""
    with pytest.raises(InvalidCommand) as refusal:
        make()

    assert refusal.value.fault is fault
    assert len(str(refusal.value)) > 20


@pytest.mark.parametrize(
    ("fault", "command"),
    [
        (F.SHAPE, CreateResponse(response=ResponseParameters(tool_choice="atuo"))),  # type: ignore[arg-type]
        (F.SHAPE, CreateItem(item=FunctionCallOutputItem(call_id="c", output=None))),  # type: ignore[arg-type]
        (F.NOT_JSON, CreateItem(item=FunctionCallOutputItem(call_id="c", output="SAID \ud800"))),
        (F.NOT_JSON, CreateResponse(response=ResponseParameters(metadata={"SAID": object()}))),
        (F.NOT_JSON, CreateMessage(text="SAID", event_id="\ud800")),
        (F.NOT_JSON, AppendAudio(audio="SAID", event_id="\ud800")),
    ],
)
def test_field_of_the_wrong_type_is_refused_before_it_is_sent(fault: CommandFault, command: Command) -> None:
    """What Python lets pass when a command is made is found when it is written; what it holds is not repeated."""
    with pytest.raises(InvalidCommand) as refusal:
        dump_command(command)

    assert refusal.value.fault is fault
    assert "SAID" not in str(refusal.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AppendAudio(audio=""),
        lambda: AppendAudio(audio="A" * (MAX_AUDIO_BYTES // 3 * 4)),
        lambda: AppendAudio.from_pcm16(bytes(MAX_AUDIO_BYTES)),
        session(temperature=0),
        session(temperature=2.0),
        session(output_modalities="audio"),
        session(max_output_tokens="inf", tool_choice=FunctionChoice(name="f")),
        session(audio=heard(format=PcmuFormat(), turn_detection=None)),
        session(truncation=RetentionRatio(retention_ratio=0.8, token_limits=TokenLimits(post_instructions=100))),
        response(input_audio_format=PcmuFormat(), audio=CONFLICT),
        response(tools=(McpTool(server_label="l", connector_id="connector_gmail", require_approval="never"),)),
        lambda: CreateItem(item=McpApprovalResponseItem(id="a", approval_request_id="r", approve=False, reason="no")),
    ],
)
def test_what_lies_on_a_limit_passes(make: Callable[[], Command]) -> None:
    """Exactly 15 MiB, both ends of the temperature, one modality as a text, formats that agree."""
    dump_command(make())


@given(st.binary(max_size=100))
def test_samples_travel_as_base64(samples: bytes) -> None:
    """What is appended as bytes is legal, and is the same bytes again."""
    command = AppendAudio.from_pcm16(samples)

    assert base64.b64decode(json.loads(dump_command(command))["audio"], validate=True) == samples


@given(st.text(alphabet="AB+/=-_ \n", max_size=12))
@example("AAAA=")
@example("AB==")
def test_base64_is_what_a_strict_decoder_takes(text: str) -> None:
    """Our rule and the standard library's agree on every text."""
    try:
        # The decoder lets needless padding pass, which is no longer there when it is written again.
        is_legal = len(base64.b64encode(base64.b64decode(text, validate=True))) == len(text)
    except ValueError:
        is_legal = False
    try:
        AppendAudio(audio=text)
        is_taken = True
    except InvalidCommand:
        is_taken = False

    assert is_taken == is_legal


PROVEN = [
    UpdateSession(settings=SessionSettings()),
    CreateMessage(text="t"),
    CreateItem(item=HELLO),
    AppendAudio(audio="AQID"),
    AppendHandoffOutput(handoff_id="codex", output_text="t"),
]


@pytest.mark.parametrize("command", [*PROVEN, *(command for command, _ in SENT)])
def test_v1_takes_what_the_reference_client_sends_and_nothing_else(command: Command) -> None:
    """Five shapes are proven; every other is refused by a sentence that says how to send it all the same."""
    kinds = (CreateMessage, CreateItem, AppendAudio, AppendHandoffOutput)
    has_more = isinstance(command, CreateItem) and command.previous_item_id is not None
    if (isinstance(command, kinds) and not has_more) or command in PROVEN:
        check_proven(command_json(command))
        return
    with pytest.raises(InvalidCommand, match=r"realtime v1 is not known to take .* allow_unproven=True") as refusal:
        check_proven(command_json(command))
    assert refusal.value.fault is F.UNPROVEN


def test_more_than_is_proven_is_unproven() -> None:
    """Of items, v1 is known to take messages, and of keys those that were seen; the refusal names what it is."""
    with pytest.raises(InvalidCommand, match=r"the key 'event_id' in 'input_audio_buffer\.append'"):
        check_proven(command_json(AppendAudio(audio="", event_id="mine")))
    with pytest.raises(InvalidCommand, match=r"the key 'previous_item_id' in"):
        check_proven(command_json(CreateItem(item=HELLO, previous_item_id="root")))
    with pytest.raises(InvalidCommand, match=r"'conversation\.item\.create' of type 'function_call_output'"):
        check_proven(command_json(CreateItem(item=FunctionCallOutputItem(call_id="c", output="o"))))


@pytest.mark.parametrize(
    "value", ["", "{", "[]", "{}", '{"type":1}', "1", {}, {"type": None}, {"type": {1, 2}}, "\ud800"]
)
def test_raw_event_is_an_object_with_a_type(value: Any) -> None:
    """Anything else is refused, and the text of it not repeated."""
    with pytest.raises(InvalidCommand) as refusal:
        dump_raw(value)

    assert refusal.value.fault is F.NOT_JSON


def test_raw_text_goes_out_as_it_was_written() -> None:
    """White space, order and escapes stay; a mapping is written compactly."""
    text = '{ "a": "\\u00e9", "type": "x.y" }'

    assert dump_raw(text) == (text, {"a": "é", "type": "x.y"})
    assert dump_raw({"type": "x.y", "a": "é"})[0] == '{"type":"x.y","a":"é"}'


@pytest.mark.parametrize("command", [*PROVEN, *(command for command, _ in SENT)])
def test_what_is_said_is_in_no_repr_of_a_command(command: Command) -> None:
    """Texts, instructions, audio and keys stay out of logs."""
    secret = McpTool(server_label="l", server_url="u", authorization="Be brief.", headers={"k": "hello"})

    shown = repr((command, secret))

    assert not any(word in shown for word in ("hello", "Be brief", "AQID"))
