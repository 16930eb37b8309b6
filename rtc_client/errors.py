"""Every exception that this library raises on purpose.

RtcClientError
├── ConfigError                 before anything was sent
│   ├── AudioFileUnreadable     a file named as a source or a sink cannot be used
│   ├── CassetteUnusable        a recorded call cannot be read, written or replayed
│   ├── InvalidCommand          a command that cannot be sent            .fault
│   └── OpusUnavailable         no usable libopus on this machine
├── KeyUnavailable              no key to send: a callable gave none; its exception is chained
│   └── KeyExpired              an ephemeral key that is known to have expired   .expired_for_s
├── SignalingError              the call was never answered          .call_id
│   ├── OfferRejected           .status, .message, .retry_after_s
│   ├── HandshakeRefused        .status; the websocket that would have been the call
│   ├── AnswererUnreachable     the cause is chained
│   └── AnswerInvalid           no Location, no call id, not UTF-8, SDP unusable
├── RequestError                a request beside a call came to nothing: hang up, accept, reject, refer, mint a key
│   ├── RequestRejected         .status, .message, .retry_after_s
│   ├── ServiceUnreachable      the cause is chained                 .may_have_arrived
│   └── ResponseInvalid         2xx, and not what was asked for
├── MediaError                  the media path never came up
│   ├── IceFailed
│   ├── DtlsFailed
│   └── MediaTimeout            .phase, .limit_s
├── SidebandError
│   ├── SidebandRejected        .status
│   └── SidebandClosed          .code, .reason, .by_us
├── AudioError
│   ├── SourceFailed            the caller's own source raised; the cause is chained
│   └── SinkFailed              the caller's own sink raised; the cause is chained
├── ResponseError               a response that was asked for came to nothing
│   ├── CommandRefused          the server answered the request with an error   .code, .error_type, .param
│   ├── ResponseFailed          it ended, and not as it should       .status, .reason, .text
│   └── ResponseTimeout         .limit_s
├── HandoffFailed               a handler could not do what it was asked
│   └── CommandFailed           .status, .stderr
├── ToolFailed                  a tool could not do what it was called for
│   └── InvalidArguments        the model called it with arguments that do not fit
├── CallClosed                  you used a call that is over
├── WrongThread                 a method of rtc_client.sync was to wait in the thread that it waits for
└── CallLost                    the world ended it                   .reason

Messages carry no key, no header value, no SDP and no speech.
"""

from __future__ import annotations

from enum import StrEnum


class RtcClientError(Exception):
    """Root of every exception that this library raises on purpose."""


class ConfigError(RtcClientError):
    """A setting cannot work; raised before anything is sent."""


class AudioFileUnreadable(ConfigError):
    """A file named as a source or a sink cannot be opened, or holds no audio."""


class CassetteUnusable(ConfigError):
    """A cassette cannot be read, written or replayed."""


class CommandFault(StrEnum):
    """What is wrong with a command."""

    AUDIO_NOT_BASE64 = "audio_not_base64"
    AUDIO_TOO_LONG = "audio_too_long"
    AUDIO_SHAPE = "audio_shape"
    """It is no sequence of int16 samples, mono."""
    PCM_RATE = "pcm_rate"
    FORMAT_CONFLICT = "format_conflict"
    MODALITIES = "modalities"
    TEMPERATURE = "temperature"
    OUT_OF_RANGE = "out_of_range"
    MCP_ADDRESS = "mcp_address"
    EMPTY_ID = "empty_id"
    METADATA = "metadata"
    UNKNOWN_KIND = "unknown_kind"
    """It holds an `UnknownModel`, which is for reading."""
    SHAPE = "shape"
    """A field is not of the type it must be."""
    NOT_JSON = "not_json"
    """It is no JSON object with a `type`, or holds what JSON cannot say."""
    UNPROVEN = "unproven"
    """Realtime v1 is not known to take it; `allow_unproven=True` sends it all the same."""


class InvalidCommand(ConfigError):
    """A command cannot be sent as it is; nothing of it was sent, and `fault` says what is wrong with it."""

    def __init__(self, fault: CommandFault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class OpusUnavailable(ConfigError):
    """No usable libopus is on this machine; `fault` says what was tried."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            f"libopus cannot be loaded ({fault}): install PyAV from a wheel, which brings its own (pip install "
            "--force-reinstall --only-binary av av), or the system's (apt install libopus0, dnf install opus, "
            "brew install opus)"
        )
        self.fault = fault


class KeyUnavailable(RtcClientError):
    """There is no key to send: the callable that gives keys raised, took too long, or gave no usable one."""


class KeyExpired(KeyUnavailable):
    """The ephemeral key has expired, `expired_for_s` ago by this machine's clock; nothing was sent with it."""

    def __init__(self, expired_for_s: float) -> None:
        super().__init__(
            f"the ephemeral key expired {expired_for_s:.0f} s ago, by this machine's clock: mint another one, or pass "
            "a callable that does"
        )
        self.expired_for_s = expired_for_s


class SignalingError(RtcClientError):
    """The call was never answered: no answer to the offer, or no handshake on the websocket.

    `call_id` is set when the server had already named the call: such a call may be live
    (and billed) on the far side, so whoever catches this should hang it up.
    """

    def __init__(self, message: str, *, call_id: str | None = None) -> None:
        super().__init__(message)
        self.call_id = call_id


class OfferRejected(SignalingError):
    """The answerer refused the offer with an HTTP status that is not 2xx."""

    def __init__(self, status: int, message: str = "", *, retry_after_s: float | None = None) -> None:
        text = f"the answerer refused the offer with HTTP {status}"
        super().__init__(f"{text}: {message}" if message else text)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s


class HandshakeRefused(SignalingError):
    """The websocket that would have been the call was refused; `status` is the HTTP status, None for another fault."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AnswererUnreachable(SignalingError):
    """No HTTP answer came: refused, reset, or nothing within the deadline."""


class AnswerInvalid(SignalingError):
    """An HTTP answer came, and no call can be made of it."""


class RequestError(RtcClientError):
    """A request beside a call (hang up, accept, reject, refer, mint a key) came to nothing."""


class RequestRejected(RequestError):
    """The service refused `what` was asked of it beside a call, with an HTTP status that is not 2xx."""

    def __init__(self, what: str, status: int, message: str = "", *, retry_after_s: float | None = None) -> None:
        text = f"the service refused to {what} with HTTP {status}"
        super().__init__(f"{text}: {message}" if message else text)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s


class ServiceUnreachable(RequestError):
    """No HTTP answer came to a request beside a call: refused, reset, or nothing within the deadline."""

    def __init__(self, message: str, *, may_have_arrived: bool) -> None:
        super().__init__(message)
        self.may_have_arrived = may_have_arrived
        """Whether the service may have done what was asked; False when no try of it ever reached the service."""


class ResponseInvalid(RequestError):
    """The service answered a request beside a call with 2xx, and its body is not what was asked for."""


class MediaError(RtcClientError):
    """The media path between the two peers never came up."""


class IceFailed(MediaError):
    """No candidate pair works."""


class DtlsFailed(MediaError):
    """A candidate pair works, but the DTLS handshake or its fingerprint check failed."""


class MediaTimeout(MediaError):
    """A phase of setting up the media path took longer than its limit."""

    def __init__(self, phase: str, limit_s: float) -> None:
        super().__init__(f"{phase} did not finish within {limit_s:g} s")
        self.phase = phase
        self.limit_s = limit_s


class SidebandError(RtcClientError):
    """The sideband websocket, which carries the events of a call, is not usable."""


class SidebandRejected(SidebandError):
    """The sideband could not be joined; `status` is the last HTTP status, None without one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class SidebandClosed(SidebandError):
    """The sideband was closed; `code` is the close code (RFC 6455 section 7.4), None for a bare TCP close."""

    def __init__(self, code: int | None, reason: str = "", *, by_us: bool = False) -> None:
        who = "we" if by_us else "the server"
        how = f"with close code {code}" if code is not None else "without a close frame"
        super().__init__(f"{who} closed the sideband {how}")
        self.code = code
        self.reason = reason
        self.by_us = by_us


class AudioError(RtcClientError):
    """A source or a sink failed while the call was up."""


class SourceFailed(AudioError):
    """The source raised; its exception is the cause of this one."""


class SinkFailed(AudioError):
    """The sink raised; its exception is the cause of this one."""


class ResponseError(RtcClientError):
    """A response that was asked for, or a reply that was waited for, came to nothing; the call goes on."""


class CommandRefused(ResponseError):
    """The server answered a command with an error event; the message holds its own words.

    `code` and `error_type` are its names for the error, `param` is the parameter that it is about; None without one.
    """

    def __init__(
        self, message: str, *, code: str | None = None, error_type: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(f"the server refused the request: {message}" if message else "the server refused the request")
        self.code = code
        self.error_type = error_type
        self.param = param


class ResponseFailed(ResponseError):
    """A response ended without the reply that was asked for.

    `status` is `failed` or `cancelled`; `reason` is the server's code for it, None without one; `text` what was said
    until then, which is not in the message.
    """

    def __init__(self, status: str, reason: str | None = None, *, text: str = "") -> None:
        super().__init__(f"the response ended as {status}" + (f": {reason}" if reason else ""))
        self.status = status
        self.reason = reason
        self.text = text


class ResponseTimeout(ResponseError):
    """What was waited for did not come within the limit; whatever is under way on the server goes on."""

    def __init__(self, what: str, limit_s: float) -> None:
        super().__init__(f"{what} did not come within {limit_s:g} s")
        self.limit_s = limit_s


class HandoffFailed(RtcClientError):
    """A handoff cannot be done. A handler raises it with a sentence for the model, which may well say it aloud."""


class CommandFailed(HandoffFailed):
    """The program of a `CommandHandoff` failed.

    `status` is its exit status, negative for a signal, None if it never ran; `stderr` the end of what it wrote there,
    which goes nowhere else.
    """

    def __init__(self, message: str, *, status: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.stderr = stderr


class ToolFailed(RtcClientError):
    """A tool cannot do what it was called for. It raises this with a sentence for the model, which may say it aloud."""


class InvalidArguments(ToolFailed):
    """The arguments that a model wrote do not fit the tool; the message is for the model, and may repeat them."""


class CallClosed(RtcClientError):
    """A call that is over was used."""


class WrongThread(RtcClientError):
    """A method of `rtc_client.sync` was to wait in the thread that it waits for: in a callback of the call."""


class CallLost(RtcClientError):
    """The call was up, and something other than the two parties ended it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
