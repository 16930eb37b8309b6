"""`bench soak`: one long call over a bad network, looked at every second: memory, delay, complaints.

Both ends are in this process, so its memory is that of both.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import psutil
from aiohttp import web

from rtc_client import CallConfig, CallStats, connect
from rtc_client.audio.sources.clips import ClipEncoding, OpusClip
from rtc_client.audio.ticker import ticker
from rtc_client.testing.network.udp_relay import Impairment, Network
from rtc_client.testing.wire.posted_offer import read_offer
from rtc_client.testing.wire.record import SeenRequest
from tests.bench.client import SampleEar
from tests.bench.far_side import FarSide
from tests.bench.speech import EndlessSource, endless_speech

SETTLE_S: Final = 30.0
"""What is filled and learnt at the beginning is no growth."""
EDGE_S: Final = 60.0
"""The first and the last minute behind it are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The call at one moment."""

    at_s: float
    rss_mb: float
    delay_ms: float
    concealed_samples: int
    fec_packets_used: int
    packets_received: int
    packets_lost: int


class _Complaints(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.said) < 100:
            self.said.append(f"{record.name}: {record.getMessage()}")


async def hold(minutes: float, progress: Callable[[str], None]) -> tuple[list[Look], list[str]]:
    """Hold a call for so long at 5 % loss and 0 to 60 ms of jitter; return the looks and what was complained about."""
    complaints = _Complaints()
    logging.getLogger().addHandler(complaints)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.said.append(str(context)))
    impairment = Impairment(loss_ratio=0.05, jitter_s=0.06)
    packets = OpusClip.from_array(endless_speech(), encoding=ClipEncoding(bit_rate=24_000)).packets

    def write(index: int, out: bytearray, offset: int) -> int:
        packet = packets[index % len(packets)]
        out[offset : offset + len(packet)] = packet
        return len(packet)

    far = FarSide(
        write=write, read=lambda packet, now_s: None, network=Network(to_agent=impairment, to_caller=impairment)
    )
    runner, url = await _serve(far)
    ticket = ticker().add(far.tick, on_error=lambda error: complaints.said.append(repr(error)))
    process, looks = psutil.Process(), []
    try:
        config = CallConfig(api_key="bench", base_url=url, sideband="off")
        async with connect(config, source=EndlessSource(endless_speech()), sink=SampleEar()) as call:
            end_s = time.monotonic() + 60 * minutes
            while time.monotonic() < end_s:
                await asyncio.sleep(1)
                looks.append(_look(call.stats(), process))
                if len(looks) % 60 == 0:
                    look = looks[-1]
                    progress(f"{look.at_s:.0f} s: {look.rss_mb:.1f} MB, delay {look.delay_ms:.0f} ms")
    finally:
        ticket.remove()
        await far.aclose()
        await runner.cleanup()
    return looks, complaints.said


def _look(stats: CallStats, process: psutil.Process) -> Look:
    return Look(
        at_s=stats.at_s,
        rss_mb=process.memory_info().rss / 2**20,
        delay_ms=1000 * stats.current_delay_s,
        concealed_samples=stats.concealed_samples,
        fec_packets_used=stats.fec_packets_used,
        packets_received=stats.packets_received,
        packets_lost=stats.packets_lost,
    )


def summary(looks: Sequence[Look], complaints: Sequence[str]) -> dict[str, Any]:
    """Return the beginning beside the end, and the looks."""
    settled = [look for look in looks if look.at_s > SETTLE_S] or list(looks)
    first = [look for look in settled if look.at_s <= settled[0].at_s + EDGE_S]
    last = [look for look in settled if look.at_s >= settled[-1].at_s - EDGE_S]

    def edges(name: str) -> list[float]:
        return [round(statistics.mean(getattr(look, name) for look in edge), 2) for edge in (first, last)]

    end = looks[-1]
    return {
        "seconds": round(end.at_s),
        "rss_mb_first_last": edges("rss_mb"),
        "delay_ms_first_last": edges("delay_ms"),
        "delay_ms_max": round(max(look.delay_ms for look in settled), 1),
        "concealed_percent": round(100 * end.concealed_samples / (24_000 * end.at_s), 2),
        "lost_percent": round(100 * end.packets_lost / max(1, end.packets_received + end.packets_lost), 2),
        "complaints": list(complaints),
        "looks": [asdict(look) for look in looks],
    }


async def _serve(far: FarSide) -> tuple[web.AppRunner, str]:
    async def answer(request: web.Request) -> web.Response:
        headers = list(request.headers.items())
        seen = SeenRequest(method="POST", target=request.raw_path, headers=headers, body=await request.read(), at_s=0)
        location = {"Location": "/v1/realtime/calls/rtc_soak"}
        text = await far.answer(read_offer(seen).sdp)
        return web.Response(status=201, text=text, content_type="application/sdp", headers=location)

    async def hang_up(request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/realtime/calls", answer)
    app.router.add_post("/v1/realtime/calls/{call_id}/hangup", hang_up)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
