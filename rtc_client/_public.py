"""The public names of `rtc_client`, each imported from the room that defines it."""

from rtc_client import sync
from rtc_client.audio.devices.microphone import Microphone
from rtc_client.audio.devices.portaudio import find_device, list_devices
from rtc_client.audio.devices.reports import DeviceGlitched, DeviceLost, DeviceRecord, DeviceRestored
from rtc_client.audio.devices.selection import AudioDevice
from rtc_client.audio.devices.speaker import Speaker
from rtc_client.audio.echo.config import EchoSettings
from rtc_client.audio.echo.control import EchoCancelledSource
from rtc_client.audio.echo.far_end import FarEndReference
from rtc_client.audio.echo.warning import EchoDetected
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmFrame
from rtc_client.audio.sinks.base import PacketSink, Sink, TimedSink
from rtc_client.audio.sinks.basic import CallbackSink, NullSink, NumpySink, TeeSink, WavSink
from rtc_client.audio.sinks.ogg_recorder import OggRecorder
from rtc_client.audio.sources.base import EchoAware, PacketSource, Source, TimedSource
from rtc_client.audio.sources.basic import (
    ArraySource,
    FileSource,
    IteratorSource,
    PushSource,
    SilenceSource,
    ToneSource,
)
from rtc_client.audio.sources.clips import ClipEncoding, ClipSource, OpusClip
from rtc_client.audio.sources.mixer import GainSource, MixSource, SequenceSource
from rtc_client.call.call import Call, ToolContext
from rtc_client.call.cassette_recorder import CassetteRecorder
from rtc_client.call.connect import connect
from rtc_client.call.events.local_events import (
    BargedIn,
    CallEnded,
    CallEvent,
    HandoffEnded,
    HandoffReceived,
    MediaConnected,
    NoAudioYet,
    RecordingEnded,
    SidebandAbandoned,
    SidebandJoined,
    SidebandLost,
    ToolCallEnded,
)
from rtc_client.call.events.router import WireMessage
from rtc_client.call.media.stats import CallStats
from rtc_client.call.media.streams import AudioChunk, TranscriptChunk
from rtc_client.call.recording.recorder import CallRecorder
from rtc_client.call.result import AudioTotals, CallResult, RecordingReport
from rtc_client.call.tool_decorator import ToolDecorator
from rtc_client.call.tools.handoffs import HandoffRecord
from rtc_client.call.tools.tool_calls import OfferedTool, ToolCallRecord
from rtc_client.call.tools.typed_tool import TypedTool
from rtc_client.cassette.cassette import Cassette
from rtc_client.cassette.comparison import Difference as CassetteDifference
from rtc_client.cassette.comparison import differences as cassette_differences
from rtc_client.cassette.reference_client import read as read_cassette
from rtc_client.config import CallConfig, Deadlines, HandoffSettings, IceServer, OpusSettings
from rtc_client.delegates.command import CommandHandoff
from rtc_client.delegates.handoff_request import HandoffHandler, HandoffRequest, Progress
from rtc_client.delegates.handoff_tool import HandoffTool
from rtc_client.delegates.openai_responses import DelegateTool, OpenAIResponsesHandoff
from rtc_client.errors import (
    AnswererUnreachable,
    AnswerInvalid,
    AudioError,
    AudioFileUnreadable,
    CallClosed,
    CallLost,
    CassetteUnusable,
    CommandFailed,
    CommandFault,
    CommandRefused,
    ConfigError,
    DtlsFailed,
    HandoffFailed,
    HandshakeRefused,
    IceFailed,
    InvalidArguments,
    InvalidCommand,
    KeyExpired,
    KeyUnavailable,
    MediaError,
    MediaTimeout,
    OfferRejected,
    OpusUnavailable,
    RequestError,
    RequestRejected,
    ResponseError,
    ResponseFailed,
    ResponseInvalid,
    ResponseTimeout,
    RtcClientError,
    ServiceUnreachable,
    SidebandClosed,
    SidebandError,
    SidebandRejected,
    SignalingError,
    SinkFailed,
    SourceFailed,
    ToolFailed,
    WrongThread,
)
from rtc_client.keys import ApiKey, ClientSecret
from rtc_client.protocol.call_state import CallState, End, EndReason
from rtc_client.protocol.call_timeline import Timings
from rtc_client.protocol.delegation.handoff import ActiveEntry
from rtc_client.protocol.transcript.transcript import Transcript, TranscriptEntry
from rtc_client.protocol.turns.response_matching import FinishedResponse
from rtc_client.protocol.wire.audio_settings import (
    AudioFormat,
    AudioInputSettings,
    AudioOutputSettings,
    AudioSettings,
    NoiseReduction,
    PcmaFormat,
    PcmFormat,
    PcmuFormat,
    SemanticVad,
    ServerVad,
    TranscriptionSettings,
    TurnDetection,
    VoiceReference,
)
from rtc_client.protocol.wire.commands import (
    AppendAudio,
    AppendHandoffOutput,
    CancelResponse,
    ClearAudio,
    ClearOutputAudio,
    Command,
    CommitAudio,
    CreateItem,
    CreateMessage,
    CreateResponse,
    DeleteItem,
    RetrieveItem,
    TruncateItem,
    UpdateSession,
)
from rtc_client.protocol.wire.events import (
    AgentTextDone,
    AgentTranscriptClosed,
    AgentTranscriptDelta,
    AgentTranscriptDone,
    CallerTranscriptClosed,
    CallerTranscriptDelta,
    CallerTranscriptDone,
    CallerTranscriptFailed,
    CallerTranscriptSegment,
    ContentPartAdded,
    ContentPartDone,
    ConversationCreated,
    DtmfReceived,
    ErrorEvent,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    HandoffRequested,
    InputAudioCleared,
    InputAudioCommitted,
    InputTimeoutTriggered,
    ItemAdded,
    ItemCreated,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    KnownEvent,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallCompleted,
    McpCallFailed,
    McpCallInProgress,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
    OutputAudioCleared,
    OutputAudioDelta,
    OutputAudioStarted,
    OutputAudioStopped,
    OutputItemAdded,
    OutputItemDone,
    RateLimitsUpdated,
    ResponseAudioDelta,
    ResponseAudioDone,
    ResponseCancelled,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    UnknownEvent,
)
from rtc_client.protocol.wire.items import (
    AudioPart,
    ContentPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    McpCallItem,
    McpError,
    McpHttpError,
    McpListToolsItem,
    McpProtocolError,
    McpToolDefinition,
    McpToolError,
    MessageItem,
    OutputAudio,
    OutputText,
    TextPart,
)
from rtc_client.protocol.wire.model import UNSET, UnknownModel, UnsetType
from rtc_client.protocol.wire.responses import (
    CachedTokens,
    DetectedLanguage,
    ErrorDetail,
    InputTokens,
    LogProb,
    OutputTokens,
    RateLimit,
    Response,
    ResponseAudio,
    ResponseParameters,
    ResponseStatusDetails,
    TranscriptionUsage,
    Usage,
)
from rtc_client.protocol.wire.session import SessionSettings
from rtc_client.protocol.wire.sessions import (
    PromptReference,
    RealtimeSession,
    Reasoning,
    RetentionRatio,
    TokenLimits,
    TracingSettings,
    TranscriptionAudio,
    TranscriptionSession,
    V1Session,
)
from rtc_client.protocol.wire.tools import (
    ApprovalFilter,
    FunctionChoice,
    FunctionTool,
    McpChoice,
    McpTool,
    Tool,
    ToolFilter,
)
from rtc_client.signaling.realtime_api import RealtimeApi

__all__ = [
    # placing a call
    "connect", "sync", "Call", "CallConfig", "CallResult", "CallState", "Deadlines", "IceServer", "OpusSettings",
    "CallStats", "ApiKey", "ClientSecret",
    # the REST side beside a call
    "RealtimeApi", "RequestError", "RequestRejected", "ServiceUnreachable", "ResponseInvalid",
    # what the caller says
    "Source", "FileSource", "ArraySource", "IteratorSource", "PushSource", "SilenceSource", "ToneSource",
    "OpusClip", "ClipEncoding", "ClipSource", "PacketSource", "Microphone", "TimedSource",
    "SequenceSource", "MixSource", "GainSource", "EchoAware",
    # where the agent's voice goes
    "Sink", "WavSink", "NumpySink", "CallbackSink", "NullSink", "TeeSink", "OggRecorder", "PacketSink",
    "Speaker", "TimedSink", "PcmFrame", "SAMPLE_RATE_HZ", "FRAME_SAMPLES",
    # what is done about our own echo
    "EchoSettings", "EchoDetected", "EchoCancelledSource", "FarEndReference",
    # sound devices
    "AudioDevice", "list_devices", "find_device", "DeviceRecord",
    # what the agent asks for
    "HandoffRequest", "HandoffHandler", "HandoffSettings", "HandoffRecord", "ActiveEntry", "Progress",
    "CommandHandoff", "OpenAIResponsesHandoff", "DelegateTool",
    # streams of a call
    "AudioChunk", "TranscriptChunk",
    # how it went
    "End", "EndReason", "Timings", "AudioTotals", "Transcript", "TranscriptEntry", "WireMessage",
    # recorded calls
    "CallRecorder", "RecordingReport",
    "CassetteRecorder", "Cassette", "read_cassette", "cassette_differences", "CassetteDifference",
    # events of the server
    "ServerEvent", "KnownEvent", "UnknownEvent", "SessionCreated", "SessionUpdated", "ConversationCreated",
    "ItemCreated", "ItemAdded", "ItemDone", "ItemRetrieved", "ItemDeleted", "ItemTruncated", "InputAudioCommitted",
    "InputAudioCleared", "SpeechStarted", "SpeechStopped", "InputTimeoutTriggered", "DtmfReceived",
    "OutputAudioStarted", "OutputAudioStopped", "OutputAudioCleared", "OutputAudioDelta", "CallerTranscriptDelta",
    "CallerTranscriptDone", "CallerTranscriptSegment", "CallerTranscriptFailed", "CallerTranscriptClosed",
    "HandoffRequested", "RateLimitsUpdated", "ErrorEvent", "ResponseCreated", "ResponseDone", "ResponseCancelled",
    "OutputItemAdded", "OutputItemDone", "ContentPartAdded", "ContentPartDone", "AgentTranscriptDelta",
    "AgentTranscriptDone", "AgentTranscriptClosed", "AgentTextDone", "ResponseAudioDelta", "ResponseAudioDone",
    "FunctionArgumentsDelta", "FunctionArgumentsDone", "McpArgumentsDelta", "McpArgumentsDone", "McpCallInProgress",
    "McpCallCompleted", "McpCallFailed", "McpListToolsInProgress", "McpListToolsCompleted", "McpListToolsFailed",
    # commands: what can be sent
    "Command", "UpdateSession", "CreateMessage", "CreateItem", "RetrieveItem", "DeleteItem", "TruncateItem",
    "AppendAudio", "CommitAudio", "ClearAudio", "ClearOutputAudio", "CreateResponse", "CancelResponse",
    "AppendHandoffOutput", "InvalidCommand", "CommandFault",
    # sessions
    "SessionSettings", "RealtimeSession", "V1Session", "TranscriptionSession", "TranscriptionAudio", "AudioSettings",
    "AudioInputSettings", "AudioOutputSettings", "AudioFormat", "PcmFormat", "PcmuFormat", "PcmaFormat",
    "TurnDetection", "ServerVad", "SemanticVad", "TranscriptionSettings", "NoiseReduction", "VoiceReference",
    "PromptReference", "TracingSettings", "RetentionRatio", "TokenLimits", "Reasoning", "UNSET", "UnsetType",
    # responses
    "FinishedResponse",
    "ResponseParameters", "ResponseAudio", "Response", "ResponseStatusDetails", "ErrorDetail", "Usage", "InputTokens",
    "OutputTokens", "CachedTokens", "TranscriptionUsage", "RateLimit", "LogProb", "DetectedLanguage",
    # items and the parts of their content
    "Item", "MessageItem", "FunctionCallItem", "FunctionCallOutputItem", "McpCallItem", "McpListToolsItem",
    "McpToolDefinition", "McpApprovalRequestItem", "McpApprovalResponseItem", "ItemReference", "McpError",
    "McpProtocolError", "McpToolError", "McpHttpError", "ContentPart", "InputText", "InputAudio", "InputImage",
    "OutputText", "OutputAudio", "TextPart", "AudioPart", "UnknownModel",
    # tools
    "TypedTool", "ToolDecorator", "ToolContext", "OfferedTool", "HandoffTool", "ToolCallRecord",
    "Tool", "FunctionTool", "McpTool", "ToolFilter", "ApprovalFilter", "FunctionChoice", "McpChoice",
    # events of our own
    "CallEvent", "MediaConnected", "NoAudioYet", "SidebandJoined", "SidebandLost", "SidebandAbandoned",
    "HandoffReceived", "HandoffEnded", "ToolCallEnded", "BargedIn", "DeviceLost", "DeviceRestored", "DeviceGlitched",
    "RecordingEnded", "CallEnded",
    # errors
    "RtcClientError", "ConfigError", "AudioFileUnreadable", "CassetteUnusable", "OpusUnavailable",
    "KeyUnavailable", "KeyExpired",
    "SignalingError", "OfferRejected", "HandshakeRefused", "AnswererUnreachable",
    "AnswerInvalid", "MediaError", "IceFailed", "DtlsFailed", "MediaTimeout", "SidebandError", "SidebandRejected",
    "SidebandClosed", "AudioError", "SourceFailed", "SinkFailed", "ResponseError", "CommandRefused",
    "ResponseFailed", "ResponseTimeout", "HandoffFailed", "CommandFailed", "ToolFailed", "InvalidArguments",
    "CallClosed", "CallLost", "WrongThread",
]  # fmt: skip
