"""The application above the reference client: a plain aiortc peer connection that calls through that client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from rtc_client.audio.frames import Samples
from rtc_client.testing import AnsweredCall, FakeAnswerer
from tests.interop.reference_client import AppServer, ModelBackend
from tests.testing.caller import Caller, loopback

SPEECH_HZ = 440
SPEECH_DBFS = -20
SPEECH_S = 1.4
"""What the caller says: a tone, then silence."""


@asynccontextmanager
async def application(
    program: Path, answerer_url: str, *sentences: str, call_url: str | None = None
) -> AsyncIterator[tuple[AppServer, ModelBackend, Caller]]:
    """The reference client, the model behind it that says these sentences, and the application's peer connection."""
    caller = Caller(_tone())
    caller.peer.createDataChannel("oai-events")  # as its documentation of the offer wants
    backend = ModelBackend(sentences or ModelBackend.sentences)
    try:
        async with backend, AppServer(program, answerer_url, backend.base_url, call_url or answerer_url) as app:
            yield app, backend, caller
    finally:
        await caller.close()


async def start(app: AppServer, caller: Caller, answerer: FakeAnswerer, prompt: str = "backend prompt") -> AnsweredCall:
    """Place a call, and return it once both legs are up."""
    await place(app, caller, prompt)
    call = await answerer.wait_for_call()
    await call.sideband_joined()
    return call


async def place(app: AppServer, caller: Caller, prompt: str = "backend prompt") -> None:
    """Offer, take the answer that comes back through the reference client, and connect.

    Raises:
        AssertionError: If the application is told of an error instead.
    """
    loopback(caller.peer)
    await caller.peer.setLocalDescription(await caller.peer.createOffer())
    transport = {"type": "webrtc", "sdp": caller.peer.localDescription.sdp}
    await app.in_call("start", outputModality="audio", transport=transport, prompt=prompt)
    await caller.accept((await app.is_told("thread/realtime/sdp"))["sdp"])
    await caller.connected()


def _tone() -> Samples:
    amplitude = 32_767 * 10 ** (SPEECH_DBFS / 20) * 2**0.5
    phase = 2 * np.pi * SPEECH_HZ * np.arange(round(SPEECH_S * 24_000)) / 24_000
    return np.asarray(np.round(amplitude * np.sin(phase)), dtype=np.int16)
