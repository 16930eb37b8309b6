"""The process that all clients of `bench media` call: speech encoded beforehand to everyone, from one ticker.

`python -m tests.bench.answerer [--spread]` prints its port and serves until its standard input ends. What arrives is
dropped behind SRTP, but for the times of arrival, of which `GET /lateness` tells, and begins anew.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import Final

import numpy as np
from aiohttp import web

from rtc_client.audio.frames import FRAME_S
from rtc_client.audio.sources.clips import ClipEncoding, OpusClip
from rtc_client.testing.wire.posted_offer import read_offer
from rtc_client.testing.wire.record import SeenRequest
from tests.bench.far_side import FarSide
from tests.bench.speech import endless_speech

BIT_RATE: Final = 24_000
_WINDOW_S: Final = 2.0
_TICKS_PER_S: Final = 48_000
_TIMESTAMP: Final = struct.Struct("!I")


class Call:
    """One call: the clip out, arrivals noted."""

    def __init__(self, packets: tuple[bytes, ...]) -> None:
        self._packets = packets
        self._first_index: int | None = None
        self.arrivals: list[tuple[int, int]] = []
        self.far_side = FarSide(write=self._write, read=lambda *_: None, stamped=self._note)

    def tick(self, index: int) -> None:
        if self._first_index is None:
            self._first_index = index
        self.far_side.tick(index - self._first_index)

    def _write(self, index: int, out: bytearray, offset: int) -> int:
        packet = self._packets[index % len(self._packets)]
        out[offset : offset + len(packet)] = packet
        return len(packet)

    def _note(self, datagram: bytes, at_ns: int) -> None:
        self.arrivals.append((at_ns, _TIMESTAMP.unpack_from(datagram, 4)[0]))


def far_clip() -> OpusClip:
    """Return what the far side says: SILK with CELT above it, and FEC."""
    return OpusClip.from_array(endless_speech(), encoding=ClipEncoding(bit_rate=BIT_RATE, complexity=5))


class Answerer:
    """All calls, and the clock that drives them."""

    def __init__(self, *, spread: bool) -> None:
        self._packets = far_clip().packets
        self._spread = spread
        self._calls: dict[str, Call] = {}
        self._n_calls = 0

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application()
        app.router.add_post("/v1/realtime/calls", self._place)
        app.router.add_post("/v1/realtime/calls/{call_id}/hangup", self._hang_up)
        app.router.add_get("/lateness", self._lateness)
        return app

    async def tick(self) -> None:
        """Send for ever: to everyone at once, or to each in its own quarter millisecond."""
        loop = asyncio.get_running_loop()
        start_s, index = loop.time(), 0
        steps = 80 if self._spread else 1
        while True:
            for step in range(steps):
                await asyncio.sleep(max(0.0, start_s + (index + step / steps) * FRAME_S - loop.time()))
                for n, call in enumerate(self._calls.values()):
                    if n * 13 % steps == step:
                        call.tick(index)
            index += 1

    async def _place(self, request: web.Request) -> web.Response:
        headers = [(name, value) for name, value in request.headers.items()]
        seen = SeenRequest(method="POST", target=request.raw_path, headers=headers, body=await request.read(), at_s=0)
        call = Call(self._packets)
        answer = await call.far_side.answer(read_offer(seen).sdp)
        self._n_calls += 1
        call_id = f"rtc_{self._n_calls}"
        self._calls[call_id] = call
        location = {"Location": f"/v1/realtime/calls/{call_id}"}
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=location)

    async def _hang_up(self, request: web.Request) -> web.Response:
        call = self._calls.pop(request.match_info["call_id"], None)
        if call is not None:
            await call.far_side.aclose()
        return web.json_response({})

    async def _lateness(self, request: web.Request) -> web.Response:
        late_ms = [late for call in self._calls.values() for late in lateness_ms(call.arrivals)]
        for call in self._calls.values():
            call.arrivals.clear()
        if not late_ms:
            return web.json_response({"packets": 0})
        p50, p99 = np.percentile(late_ms, (50, 99))
        return web.json_response({"packets": len(late_ms), "p50": p50, "p99": p99, "max": max(late_ms)})


def lateness_ms(arrivals: list[tuple[int, int]]) -> list[float]:
    """Return by how much each packet missed its stream's own 20 ms grid, whose origin is the earliest within 2 s."""
    if not arrivals:
        return []
    at_ns = np.array([at for at, _ in arrivals], dtype=np.int64)
    timestamps = np.array([timestamp for _, timestamp in arrivals], dtype=np.int64)
    media_s = ((timestamps - timestamps[0] + 2**31) % 2**32 - 2**31) / _TICKS_PER_S
    at_s = (at_ns - at_ns[0]) / 1e9
    late_s = at_s - media_s
    windows = (at_s // _WINDOW_S).astype(int)
    return [
        float(late) for w in np.unique(windows) for late in (late_s[windows == w] - late_s[windows == w].min()) * 1e3
    ]


async def serve(*, spread: bool) -> None:
    """Serve until standard input ends."""
    answerer = Answerer(spread=spread)
    runner = web.AppRunner(answerer.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ticking = asyncio.create_task(answerer.tick(), name="bench-tick")
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ticking.cancel()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(spread="--spread" in sys.argv))
