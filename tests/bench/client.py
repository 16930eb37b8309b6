"""The process that is measured by `bench media`: so many calls of one kind, and nothing else.

`python -m tests.bench.client KIND N URL` places the calls one after the other, prints what it has learnt as one line of
JSON, and for every line that comes in how much it has heard; it hangs up when its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from fractions import Fraction
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import SAMPLE_RATE_HZ, PcmFrame, Samples
from tests.bench.speech import EndlessSource, endless_speech

Kind = Literal["shipped", "live", "bot", "recorded"]
KINDS: Final[tuple[Kind, ...]] = ("shipped", "live", "bot")
"""What `bench media` compares; `recorded` is `live` with a `CallRecorder`."""
FIRST_AUDIO_LIMIT_S: Final = 5.0


class Ear:
    """A sink of samples or packets that knows when the first sound came, and how much came in all."""

    def __init__(self) -> None:
        self.first_s: float | None = None
        self.n_heard = 0

    async def open(self) -> None: ...

    def hear(self, samples: NDArray[Any]) -> None:
        """Take 20 ms."""
        self.n_heard += 1
        if self.first_s is None and samples.any():
            self.first_s = time.monotonic()

    async def aclose(self) -> None: ...


class SampleEar(Ear):
    """Wants samples, so they are decoded."""

    def write(self, frame: PcmFrame) -> None:
        self.hear(frame.samples)


class PacketEar(Ear):
    """Wants packets, so nothing is decoded."""

    def write_packet(self, payload: bytes, position_samples: int) -> None:
        self.n_heard += 1
        if self.first_s is None:
            self.first_s = time.monotonic()


async def place_ours(stack: AsyncExitStack, kind: Kind, url: str, speech: Samples, clip: Any) -> tuple[Ear, float, Any]:
    """Place a call of ours; return its ear, when it was connected, and the call."""
    from rtc_client import CallConfig, CallRecorder, ClipSource, connect

    ear = PacketEar() if kind == "bot" else SampleEar()
    source = ClipSource(clip, repeat=True) if kind == "bot" else EndlessSource(speech)
    recorder = None
    if kind == "recorded":
        recorder = CallRecorder(stack.enter_context(tempfile.TemporaryDirectory()))
    config = CallConfig(api_key="bench", base_url=url, sideband="off")
    dialed_s = time.monotonic()
    call = await stack.enter_async_context(connect(config, source=source, sink=ear, recorder=recorder))
    assert call.result.timings_ms.setup is not None
    return ear, dialed_s + call.result.timings_ms.setup / 1000, call


async def place_shipped(stack: AsyncExitStack, url: str, speech: Samples) -> tuple[Ear, float, Any]:
    """Place a call of plain aiortc: a track of its own kind out, the remote track read as it comes."""
    import httpx
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
    from av import AudioFrame

    from tests.testing.caller import form, loopback

    source, ear = EndlessSource(speech), Ear()

    class SpeechTrack(AudioStreamTrack):
        async def recv(self) -> AudioFrame:
            paced = cast("AudioFrame", await super().recv())
            frame = AudioFrame.from_ndarray(source.read()[np.newaxis, :], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = SAMPLE_RATE_HZ, Fraction(1, SAMPLE_RATE_HZ)
            frame.pts = (paced.pts or 0) * SAMPLE_RATE_HZ // paced.sample_rate
            return frame

    async def drain(track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = cast("AudioFrame", await track.recv())
                if ear.first_s is None:
                    ear.hear(frame.to_ndarray())
                else:
                    ear.n_heard += 1
        except MediaStreamError:
            return

    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTrack(SpeechTrack())
    draining: list[asyncio.Task[None]] = []
    pc.on("track", lambda track: draining.append(asyncio.create_task(drain(track))))
    connected = asyncio.get_running_loop().create_future()

    def on_state() -> None:
        if pc.connectionState == "connected" and not connected.done():
            connected.set_result(time.monotonic())

    pc.on("connectionstatechange", on_state)
    loopback(pc)
    await pc.setLocalDescription(await pc.createOffer())
    body, content_type = form(pc.localDescription.sdp)
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.post(f"{url}/realtime/calls", content=body, headers={"content-type": content_type})
        await pc.setRemoteDescription(RTCSessionDescription(sdp=response.text, type="answer"))

    async def hang_up() -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.post(f"{url}/realtime/calls/{response.headers['location'].rpartition('/')[2]}/hangup")
        await pc.close()

    stack.push_async_callback(hang_up)
    async with asyncio.timeout(10):
        return ear, await connected, pc


async def main(kind: Kind, n_calls: int, url: str) -> None:
    """Place the calls, report, hold them, report."""
    speech, clip = endless_speech(), None
    if kind == "bot":
        from rtc_client import OpusClip

        clip = OpusClip.from_array(speech)
    ears: list[Ear] = []
    first_audio_ms: list[float] = []
    async with AsyncExitStack() as stack:
        for _ in range(n_calls):
            if kind == "shipped":
                ear, connected_s, _call = await place_shipped(stack, url, speech)
            else:
                ear, connected_s, _call = await place_ours(stack, kind, url, speech, clip)
            give_up_s = time.monotonic() + FIRST_AUDIO_LIMIT_S
            while ear.first_s is None and time.monotonic() < give_up_s:
                await asyncio.sleep(0.01)
            if ear.first_s is not None:
                first_audio_ms.append((ear.first_s - connected_s) * 1000)
            ears.append(ear)
        print(json.dumps({"first_audio_ms": first_audio_ms}), flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps({"n_heard": [ear.n_heard for ear in ears]}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(cast("Kind", sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
