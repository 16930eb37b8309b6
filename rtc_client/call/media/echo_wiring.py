"""Connects a call's microphone to what its loudspeaker plays, and tells the call when echo remains."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeGuard, runtime_checkable

from rtc_client.audio.echo.config import EchoSettings
from rtc_client.audio.echo.control import CapturingSource, EchoCancelledSource
from rtc_client.audio.echo.far_end import FarEndReference
from rtc_client.audio.echo.warning import EchoDetected
from rtc_client.audio.sinks.base import PacketSink, Sink, add_tap
from rtc_client.audio.sinks.basic import players
from rtc_client.audio.sources.base import Source, TimedSource
from rtc_client.audio.sources.basic import SilenceSource
from rtc_client.call.media.webrtc_setup import Connections

log = logging.getLogger(__name__)


@runtime_checkable
class ComposedSource(Protocol):
    """A source made of others, which may capture or not."""

    @property
    def sources(self) -> tuple[Source, ...]: ...


def with_echo_control(
    source: Source | None,
    sink: Sink | PacketSink | None,
    settings: EchoSettings,
    notify: Callable[[EchoDetected], None],
    connections: Connections,
    is_hold: Callable[[], bool] | None = None,
) -> Source:
    """Return `source` with its echo taken care of, where it captures and `sink` plays; else `source`, silence for None.

    `notify` is told once if our own output is heard all the same; `connections` know the id of the call; `is_hold`
    whether what is heard is no voice.
    """
    source = source or SilenceSource()
    playing = () if sink is None or isinstance(sink, PacketSink) else players(sink)
    if not playing or not captures(source):
        return source
    played = FarEndReference()
    add_tap(playing[0], played.tap)

    def on_heard(heard: EchoDetected) -> None:
        facts = {
            "call_id": connections.call_id,
            "delay_s": heard.delay_s,
            "level_dbfs": heard.level_dbfs,
            "mode": heard.mode,
        }
        log.warning("our own output is heard in the input: %s", heard.cure, extra=facts)
        notify(heard)

    return EchoCancelledSource(source, played, settings, on_heard=on_heard, is_hold=is_hold)


def captures(source: Source) -> TypeGuard[CapturingSource]:
    """Return whether a source is, or is made of, one that captures, and whose echo nobody has taken care of yet."""
    if isinstance(source, EchoCancelledSource):
        return False
    if isinstance(source, ComposedSource):
        return isinstance(source, TimedSource) and any(captures(one) for one in source.sources)
    return isinstance(source, TimedSource)
