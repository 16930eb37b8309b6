"""CallConfig: everything a call needs to know before it is dialled, frozen and checked when it is made."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from rtc_client.audio.echo.config import EchoSettings
from rtc_client.errors import ConfigError
from rtc_client.keys import ApiKey, ClientSecret, KeyRing, check_api_key
from rtc_client.protocol import urls
from rtc_client.protocol.delegation.handoff import LongOutput, PrefixRule
from rtc_client.protocol.wire.commands import check_text
from rtc_client.protocol.wire.dialect import Transport, check_mode, version_of, voice_of
from rtc_client.protocol.wire.session import (
    DEFAULT_MODEL,
    DEFAULT_TRANSCRIPTION_MODEL,
    Mode,
    OutputModality,
    SessionSettings,
    Version,
)

MediaPath: TypeAlias = Literal["fast", "packets", "plain"]
"""Which way audio goes: past aiortc's packet machinery; through it, but with our own Opus and playout; all aiortc's."""
SidebandPolicy: TypeAlias = Literal["require", "prefer", "off"]
BargeIn: TypeAlias = Literal["auto", "server", "local", "off"]
WhileBusy: TypeAlias = Literal["steer", "replace", "queue"]

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"

MAX_OBTAINED: Final = 1_024
"""Keys of a callable that are still taken out of messages; the oldest are forgotten."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FRAMING: Final = {"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade"}
_RESERVED_QUERY: Final = {"intent", "architecture", "call_id"}
_VARIABLES: Final = {
    "api_key": "OPENAI_API_KEY",
    "base_url": "OPENAI_BASE_URL",
    "sideband_url": "RTC_CLIENT_SIDEBAND_URL",
    "model": "RTC_CLIENT_MODEL",
    "voice": "RTC_CLIENT_VOICE",
    "instructions": "RTC_CLIENT_INSTRUCTIONS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServer:
    """A STUN or TURN server to gather candidates with."""

    url: str
    """`stun:host:port`, `turn:host:port?transport=udp|tcp` or `turns:…`."""
    username: str | None = None
    """Of the TURN server."""
    credential: str | None = field(default=None, repr=False)
    """The password that goes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpusSettings:
    """How the caller's voice is encoded: mono, 24 kHz, 20 ms a packet.

    Raises:
        ConfigError: A number is out of its range.
    """

    bit_rate: int = 32_000
    """Mean bits per second, 6,000 to 510,000; what libwebrtc aims for."""
    complexity: int = 5
    """0 to 10: quality for processor time."""
    fec: bool = True
    """Whether packets repeat the one before them once the far side reports loss (in-band FEC)."""
    dtx: bool = True
    """Whether half a second of silence is followed by one packet in 400 ms instead of twenty. Not while muted."""

    def __post_init__(self) -> None:
        if not 6_000 <= self.bit_rate <= 510_000:
            raise ConfigError("the Opus bit rate must lie between 6000 and 510000 bits per second")
        if not 0 <= self.complexity <= 10:
            raise ConfigError("the Opus complexity must lie between 0 and 10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long each step may take, in seconds. The defaults suit a call over the internet.

    Raises:
        ConfigError: One is not a positive number.
    """

    answer_s: float = 10.0
    """From sending the offer to the last byte of its answer, for one try."""
    key_s: float = 10.0
    """For a callable key, each time it is asked."""
    signaling_s: float = 30.0
    """For all tries of the offer together."""
    gather_s: float = 5.0
    """For local candidates, STUN and TURN included."""
    connect_s: float = 15.0
    """From applying the answer to a connected DTLS transport."""
    first_rtp_s: float = 5.0
    """From connected to the first RTP packet; passing it is only a warning."""
    silence_s: float = 12.0
    """Without a datagram of any kind for this long, a call is lost."""
    sideband_open_s: float = 10.0
    """For one websocket handshake."""
    sideband_join_s: float = 30.0
    """For all tries of joining, or rejoining, the sideband together."""
    ping_interval_s: float = 5.0
    """Between two pings on the sideband."""
    ping_timeout_s: float = 5.0
    """Until a ping without an answer means that the sideband is lost."""
    remote_hangup_s: float = 2.0
    """For telling the server that the call is over."""
    close_s: float = 3.0
    """For everything that closing a call does."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 < getattr(self, name) < 86_400:
                raise ConfigError(f"the deadline {name} must be more than 0 seconds and less than a day")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffSettings:
    """How requests of the agent are handled (protocol.md section 9). The defaults are the reference client's.

    Raises:
        ConfigError: A word is not one of those, or the limit is not a positive number.
    """

    while_busy: WhileBusy = "steer"
    """What a request does that comes while a handler is at work. `steer`: it goes to that handler, and what comes of
    both answers the latest. `replace`: the handler is cancelled, and a new one begins. `queue`: it waits its turn."""
    limit_s: float = 120.0
    """A handler that takes longer is cancelled, and the model is told so."""
    long_output: LongOutput = "cut"
    """`cut` takes the middle out of what is longer than 1,000 tokens of 4 bytes; `pieces` sends all of it."""
    hold: Literal["tone"] | Path | str | None = None
    """What the caller hears while a handler is at work, under the agent's voice, never sent: `tone`, or an audio file
    again and again. It goes to a sink of samples, and so into a file made by one; None for nothing. Half duplex lets
    the caller speak meanwhile, so a loud one may be heard by the microphone."""
    hold_after_s: float = 1.0
    """How long a handler is at work before it begins, in seconds."""
    prefix: PrefixRule = "every"
    """Which texts get `"Agent Final Message":` before them. `every` is the rule of 0.144.0, `final`, which leaves
    `Progress` bare, that of 0.145.0."""

    def __post_init__(self) -> None:
        for name, choices in (("while_busy", WhileBusy), ("long_output", LongOutput), ("prefix", PrefixRule)):
            if getattr(self, name) not in get_args(choices):
                raise ConfigError(f"the handoff setting {name} must be one of {', '.join(get_args(choices))}")
        if not 0 <= self.hold_after_s < 86_400:
            raise ConfigError("hold_after_s must be 0 seconds or more and less than a day")
        if not 0 < self.limit_s < 86_400:
            raise ConfigError("the time limit of a handoff must be more than 0 seconds and less than a day")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConfig:
    """Where to call, as whom, and what the agent is told to be.

    Raises:
        ConfigError: When a value cannot work, before anything is sent, saying what would.
    """

    api_key: ApiKey = field(repr=False)
    """Sent as `Authorization: Bearer …` on the offer, the sideband and the hang-up, and never shown.

    A text, a `ClientSecret`, or a callable that returns one of them, or an awaitable of one: each call asks it when it
    needs the key, in a thread unless it is a coroutine function, and once more for a request that got a 401.
    """
    base_url: str = DEFAULT_BASE_URL
    """`/realtime/calls` is appended. A base containing `/backend-api` gets the JSON shape of the offer."""
    sideband_url: str | None = None
    """Base of the sideband websocket; derived from `base_url` when None (protocol.md section 1.3)."""
    sideband: SidebandPolicy = "require"
    """`require`: no call without events. `prefer`: go on without them, and say so. `off`: audio only."""
    transport: Transport = "webrtc"
    """`webrtc`: sound by RTP, events on a sideband. `websocket`: both on one websocket, whose loss ends the call."""
    version: Version | None = None
    """Realtime dialect; None becomes v1 for WebRTC, which speaks nothing else, and v2 for a websocket."""
    mode: Mode = "conversation"
    """`transcription` writes down what the caller says, and nobody answers; on a v2 websocket."""
    model: str = DEFAULT_MODEL
    voice: str | None = None
    """Of those that the version has; None becomes cove on v1, marin on v2."""
    instructions: str = field(default="", repr=False)
    output_modality: OutputModality = "audio"
    """How the agent answers; `text` on a v2 websocket."""
    transcription_model: str = DEFAULT_TRANSCRIPTION_MODEL
    """What writes down the caller's words on v2."""
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Provider query parameters, in order; also accepts a mapping. Not shown, for some providers take a key there."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Extra headers on every request; they win over ours."""
    session_id: str | None = field(default=None, repr=False)
    """Value of `x-session-id`; a fresh UUID for each call when None."""
    ice_servers: tuple[IceServer, ...] = ()
    """None by default: the far end is public, so host candidates do."""
    max_duration_s: float | None = None
    """Hang up this long after connecting, in seconds; None for no limit."""
    linger_s: float = 3.0
    """Once a source with an end is over, hang up when the agent has been silent, and no handoff under way, for this
    long, in seconds."""
    barge_in: BargeIn = "auto"
    """Who stops the agent's voice when the caller begins to speak. `server`: its event (`SpeechStarted`). `local`: our
    own ear on what is sent, within 60 ms. `off`: nobody. `auto`: the server, where the agent is heard on a device, or
    over a websocket; and our own ear as well for a device on realtime v1, whose server is not known to tell of it. A
    file of a WebRTC call gets everything that came."""
    remote_hangup: bool = True
    """Whether to tell the server when we end a call; a call left open is billed."""
    allow_insecure: bool = False
    """Whether plain http and ws may leave this machine."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    opus: OpusSettings = field(default_factory=OpusSettings)
    handoffs: HandoffSettings = field(default_factory=HandoffSettings)
    echo: EchoSettings = field(default_factory=EchoSettings)
    """What is done where a microphone hears our own loudspeaker; nothing where either is no device."""
    media_path: MediaPath = "fast"
    """Where to begin; a path whose seams are not there falls back to the next one, with a warning."""
    _obtained: deque[str] = field(
        default_factory=partial(deque, maxlen=MAX_OBTAINED), init=False, repr=False, compare=False
    )
    """What a callable key gave, so that `secrets` knows it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", _pairs(self.query))
        object.__setattr__(self, "headers", dict(self.headers))
        object.__setattr__(self, "ice_servers", tuple(self.ice_servers))
        version = version_of(self.transport, self.version)
        check_mode(version, self.mode, self.output_modality)
        object.__setattr__(self, "version", version)
        object.__setattr__(self, "voice", voice_of(version, self.voice))
        if self.is_websocket and self.sideband != "require":
            raise ConfigError("a websocket call has no sideband to go without: leave out the sideband policy")
        check_api_key(self.api_key)
        urls.check_base_url("the base URL", self.base_url, allow_insecure=self.allow_insecure)
        if self.sideband_url is not None:
            urls.check_base_url(
                "the sideband URL", self.sideband_url, allow_insecure=self.allow_insecure, websocket=True
            )
        if self.sideband not in get_args(SidebandPolicy):
            raise ConfigError("the sideband policy must be one of require, prefer, off")
        check_text("the instructions", self.instructions)
        _check_header_value("the model", self.model)
        _check_header_value("the transcription model", self.transcription_model)
        _check_headers(self.headers)
        _check_query(self.query, _RESERVED_QUERY if self.transport == "webrtc" else {*_RESERVED_QUERY, "model"})
        if self.session_id is not None:
            _check_header_value("the session id", self.session_id)
        if self.max_duration_s is not None and not self.max_duration_s > 0:
            raise ConfigError("the maximum duration must be more than 0 seconds")
        if not self.linger_s >= 0:
            raise ConfigError("the linger time must be 0 seconds or more")
        if self.barge_in not in get_args(BargeIn):
            raise ConfigError("barge_in must be one of auto, server, local, off")
        if self.media_path not in get_args(MediaPath):
            raise ConfigError("the media path must be one of fast, packets, plain")
        for server in self.ice_servers:
            _check_ice_server(server)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> CallConfig:
        """Return a config from the environment, with `overrides` winning over it.

        Reads `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `RTC_CLIENT_SIDEBAND_URL`, `RTC_CLIENT_MODEL`,
        `RTC_CLIENT_VOICE` and `RTC_CLIENT_INSTRUCTIONS`; an empty variable counts as not set.

        Raises:
            ConfigError: When there is no key, or a value cannot work.
        """
        variables = os.environ if environ is None else environ
        values: dict[str, Any] = {k: variables[v] for k, v in _VARIABLES.items() if variables.get(v)}
        values |= overrides
        if not values.get("api_key"):
            raise ConfigError("there is no API key: set OPENAI_API_KEY")
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"CallConfig has no such setting: {error}") from None

    @property
    def session(self) -> SessionSettings:
        """The settings that go over the wire."""
        return SessionSettings(
            model=self.model,
            voice=self.voice or "",
            instructions=self.instructions,
            version=self.version or "v1",
            mode=self.mode,
            output_modality=self.output_modality,
            transcription_model=self.transcription_model,
        )

    @property
    def is_websocket(self) -> bool:
        """Whether one websocket is the whole call."""
        return self.transport == "websocket"

    @property
    def is_heard(self) -> bool:
        """Whether the agent speaks aloud."""
        return self.mode == "conversation" and self.output_modality == "audio"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown, longest first: the keys and the values of the extra headers.

        Keys that a callable gave are among them from the moment it did: read this when a message is made, not before.
        """
        key = self.api_key.value if isinstance(self.api_key, ClientSecret) else self.api_key
        given = {key} if isinstance(key, str) else set()
        values = given | {*self._obtained, *(v for v in self.headers.values() if len(v) >= 8)}
        return tuple(sorted(values, key=len, reverse=True))

    def key_ring(self) -> KeyRing:
        """Return what gives the key to the requests of one call; `secrets` knows every key that it gives."""
        return KeyRing(self.api_key, limit_s=self.deadlines.key_s, on_obtained=self.keep_secret)

    def keep_secret(self, key: str) -> None:
        """Let `secrets` know a key that was got for, or by, a call of this config."""
        if key not in self._obtained:
            self._obtained.append(key)


def _pairs(query: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    pairs = query.items() if isinstance(query, Mapping) else query
    return tuple((name, value) for name, value in pairs)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        lowered = name.lower()
        if not _TOKEN.fullmatch(name):
            raise ConfigError("an extra header has a name that HTTP does not allow")
        if lowered in _FRAMING or lowered.startswith("sec-websocket-"):
            raise ConfigError(f"the header {name} frames the request itself and cannot be set")
        _check_header_value(f"the header {name}", value)


def _check_header_value(name: str, value: str) -> None:
    if not value.isascii() or any(c < " " or c == "\x7f" for c in value) or value != value.strip() or not value:
        raise ConfigError(f"{name} must be printable ASCII without spaces around it")


def _check_query(query: tuple[tuple[str, str], ...], reserved: set[str]) -> None:
    for name, value in query:
        check_text("a query parameter", name + value)
        if not name or name in reserved:
            raise ConfigError(f"a query parameter cannot be called {name!r}: the call sets that itself")


def _check_ice_server(server: IceServer) -> None:
    if not re.fullmatch(r"(stun|stuns|turn|turns):[^\s?]+(\?transport=(udp|tcp))?", server.url):
        raise ConfigError("an ICE server's URL must look like stun:host:port or turn:host:port?transport=udp")
    if server.url.startswith("turn") and not (server.username and server.credential):
        raise ConfigError("a TURN server needs a user name and a credential")
