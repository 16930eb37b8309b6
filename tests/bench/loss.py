"""`bench loss`: how calls sound over bad networks, ours and plain aiortc's, both ways at once and in real time.

The far side speaks with our own encoder and hears with our own jitter buffer, so that on the way to the agent it is the
sender that is judged. Many calls run at a time, each over a network of its own, from a seed.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
from av import AudioFrame

from rtc_client import ArraySource, CallConfig, NullSink, NumpySink, OpusSettings, connect
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.ticker import ticker
from rtc_client.call.media.receiver import AgentReceiver
from rtc_client.call.media.sender import CallerSender
from rtc_client.clock import MonotonicClock
from rtc_client.testing.network.udp_relay import Impairment, Network
from rtc_client.testing.wire.posted_offer import read_offer
from rtc_client.testing.wire.record import SeenRequest
from tests.bench.far_side import FarSide
from tests.bench.quality import Quality, judge
from tests.bench.speech import utterances
from tests.testing.caller import form, loopback

Stack = Literal["ours", "shipped"]
Way = Literal["down", "up"]

LINK_S: Final = 0.020
AT_ONCE: Final = 3
"""Both ends and the relay stand in one process and on one clockwork: what more calls delay is not the network."""
LEAD_IN_S: Final = 4.0
"""Speech before what is judged: until then the sender knows of the loss, and the receiver of the jitter."""
PAUSE_S: Final = 0.6
TAIL_S: Final = 1.0
_STAGGER_S: Final = 0.15


@dataclass(frozen=True, slots=True)
class Net:
    """One row of the grid."""

    loss_percent: int
    in_a_row: int
    jitter_ms: int

    def __str__(self) -> str:
        lost = f"{self.loss_percent} in {self.in_a_row}s" if self.in_a_row > 1 else str(self.loss_percent)
        return f"{lost}/{self.jitter_ms}"

    def impairment(self) -> Impairment:
        """Return what the relay does."""
        return Impairment(
            loss_ratio=self.loss_percent / 100,
            losses_in_a_row=self.in_a_row,
            delay_s=LINK_S,
            jitter_s=self.jitter_ms / 1000,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a call with FEC has to reach."""

    pesq: float
    delay_ms: float
    gap_ms: float
    stretch_ms: float
    unrecovered_percent: float


TARGETS: Final = {
    Net(0, 1, 0): Target(pesq=4.2, delay_ms=60, gap_ms=10, stretch_ms=40, unrecovered_percent=0.0),
    Net(1, 1, 30): Target(pesq=4.1, delay_ms=90, gap_ms=20, stretch_ms=40, unrecovered_percent=0.3),
    Net(5, 1, 30): Target(pesq=3.7, delay_ms=95, gap_ms=40, stretch_ms=60, unrecovered_percent=2.0),
    Net(5, 1, 60): Target(pesq=3.7, delay_ms=130, gap_ms=40, stretch_ms=60, unrecovered_percent=2.5),
    Net(10, 1, 60): Target(pesq=3.4, delay_ms=130, gap_ms=40, stretch_ms=60, unrecovered_percent=4.0),
    Net(5, 3, 30): Target(pesq=3.1, delay_ms=95, gap_ms=60, stretch_ms=60, unrecovered_percent=100.0),
}
"""Loss and jitter, beside what NetEQ makes of them; the last has no target for slots that stay unrecovered."""
SEED_SPREAD_PESQ: Final = 0.15
"""By so much the score of one seed differs from that of another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call."""

    stack: Stack
    net: Net
    fec: bool
    seed: int


@dataclass(slots=True, kw_only=True)
class Heard:
    """One direction of one call, as it was recorded."""

    case: Case
    way: Way
    samples: Samples
    offset_s: float
    """From the first sample said to the first in `samples`."""
    concealed_percent: float | None
    recovered: int | None
    lost_percent: float
    """What the relay lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All seeds of one way over one network: means, and the range of the score."""

    stack: Stack
    way: Way
    net: str
    fec: bool
    n: int
    pesq: float
    pesq_min: float
    pesq_max: float
    stoi: float
    delay_ms: float
    worst_delay_ms: float
    stretch_ms: float
    gap_ms: float
    missing_percent: float
    concealed_percent: float | None
    missed: tuple[str, ...]
    """Targets that are not met; of ours with FEC."""


@dataclass(frozen=True, slots=True)
class Script:
    """What both sides say, and which spans of it are judged."""

    samples: Samples
    spans: list[tuple[int, int]]

    @property
    def duration_s(self) -> float:
        """How long it takes."""
        return len(self.samples) / SAMPLE_RATE_HZ


def script_of(n_utterances: int | None = None) -> Script:
    """Return the sentences with pauses between them, behind a lead-in."""
    sentences = utterances()[:n_utterances]
    noise = np.random.default_rng(2)
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE_HZ), dtype=np.int16)
    parts = [sentences[0][: round(LEAD_IN_S * SAMPLE_RATE_HZ)]]
    spans = []
    for sentence in sentences:
        parts.append(pause)
        start = sum(map(len, parts))
        spans.append((start, start + len(sentence)))
        parts.append(sentence)
    parts.append(pause)
    whole = np.concatenate(parts)
    # Digital silence would not be sent packet by packet, nor be what a room sounds like.
    whole = np.clip(whole.astype(np.int32) + noise.integers(-4, 5, len(whole)), -32_768, 32_767).astype(np.int16)
    return Script(whole, spans)


def cases_of(*, is_quick: bool) -> list[Case]:
    """Return the calls to place: ours with FEC and without, and plain aiortc, which has none."""
    nets = [Net(0, 1, 0), Net(5, 1, 30), Net(10, 1, 60)] if is_quick else list(TARGETS)
    seeds = [1] if is_quick else [1, 2, 3]
    ours = [Case(stack="ours", net=net, fec=fec, seed=s) for fec in (True, False) for net in nets for s in seeds]
    if is_quick:
        ours = [case for case in ours if case.fec or case.net.loss_percent == 5]
    return ours + [Case(stack="shipped", net=net, fec=False, seed=s) for net in nets for s in seeds]


async def place_all(cases: Sequence[Case], script: Script, progress: Callable[[str], None]) -> list[Row]:
    """Place all calls and return what became of them."""
    recorded: list[Heard] = []
    async with _Exchange(script) as exchange:
        for stack in ("ours", "shipped"):
            these = [case for case in cases if case.stack == stack]
            for first in range(0, len(these), AT_ONCE):
                batch = these[first : first + AT_ONCE]
                progress(f"{stack}: calls {first + 1} to {first + len(batch)} of {len(these)}")
                calls = [exchange.place(case, n * _STAGGER_S) for n, case in enumerate(batch)]
                recorded += [heard for both in await asyncio.gather(*calls) for heard in both]
    # Not sooner: judging would take the processor away from the calls.
    progress("judging what was heard")
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        futures = [pool.submit(judge, script.samples, h.samples, script.spans, h.offset_s) for h in recorded]
        qualities = [await asyncio.wrap_future(future) for future in futures]
    groups: dict[tuple[Stack, Way, Net, bool], list[tuple[Heard, Quality]]] = {}
    for heard, quality in zip(recorded, qualities, strict=True):
        groups.setdefault((heard.case.stack, heard.way, heard.case.net, heard.case.fec), []).append((heard, quality))
    return [_row(key, group) for key, group in groups.items()]


class _Exchange:
    """Places calls between clients and far sides in this process."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._waiting: dict[str, FarSide] = {}
        self._numbers = count()

    async def __aenter__(self) -> _Exchange:
        app = web.Application()
        app.router.add_post("/{number}/v1/realtime/calls", self._answer)
        app.router.add_post("/{number}/v1/realtime/calls/{call_id}/hangup", self._hang_up)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def place(self, case: Case, after_s: float) -> list[Heard]:
        """Place one call and return what was heard on both sides."""
        await asyncio.sleep(after_s)
        number = str(next(self._numbers))
        impairment = case.net.impairment()
        far = _FarVoice(self._script, Network(to_agent=impairment, to_caller=impairment, seed=case.seed), fec=case.fec)
        self._waiting[number] = far.side
        url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/{number}/v1"
        try:
            if case.stack == "ours":
                near = await _place_ours(url, self._script, fec=case.fec)
            else:
                near = await _place_shipped(url, self._script)
        finally:
            await far.aclose()
        down = Heard(
            case=case,
            way="down",
            samples=near.samples,
            offset_s=near.out_t0_s - far.said_s,
            concealed_percent=near.concealed_percent,
            recovered=near.recovered,
            lost_percent=far.lost_percent("down"),
        )
        up = Heard(
            case=case,
            way="up",
            samples=far.sink.samples,
            offset_s=(far.hearing.began_s or 0.0) - near.in_t0_s,
            concealed_percent=_concealed_percent(far.hearing),
            recovered=far.hearing.jitter.counters.recovered_by_fec,
            lost_percent=far.lost_percent("up"),
        )
        return [down, up]

    async def _answer(self, request: web.Request) -> web.Response:
        headers = list(request.headers.items())
        seen = SeenRequest(method="POST", target=request.raw_path, headers=headers, body=await request.read(), at_s=0)
        side = self._waiting.pop(request.match_info["number"])
        location = {"Location": "/v1/realtime/calls/rtc_bench"}
        answer = await side.answer(read_offer(seen).sdp)
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=location)

    async def _hang_up(self, request: web.Request) -> web.Response:
        return web.json_response({})


class _FarVoice:
    """The far side's voice and ear."""

    def __init__(self, script: Script, network: Network, *, fec: bool) -> None:
        clock = MonotonicClock()
        self._source = ArraySource(script.samples)
        self.sink = NumpySink()
        self.speaking = CallerSender(
            self._source, NullSink(), OpusSettings(fec=fec, dtx=False), clock=clock, on_failure=self._failed
        )
        self.hearing = AgentReceiver(self.sink, metered=False, clock=clock, on_failure=self._failed)
        self.side = FarSide(
            write=self.speaking.next_packet,
            read=self.hearing.push,
            network=network,
            on_connected=self._begin,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._remove: Callable[[], None] = lambda: None

    @property
    def said_s(self) -> float:
        return self.speaking.began_s or 0.0

    def lost_percent(self, way: Way) -> float:
        relay = self.side.relay
        assert relay is not None
        counters = (relay.to_caller if way == "down" else relay.to_agent).counters
        return 100 * counters.rtp_lost / max(1, counters.rtp_packets)

    async def aclose(self) -> None:
        self._remove()
        for task in self._tasks:
            task.cancel()
        await self.side.aclose()

    def _begin(self) -> None:
        self._tasks.append(asyncio.create_task(self._run(), name="bench-far-voice"))

    async def _run(self) -> None:
        await self._source.open()
        await self.sink.open()
        ticket = ticker().add(self._tick, on_error=self._failed)
        self._remove = ticket.remove
        while True:
            await asyncio.sleep(1)
            self.speaking.set_loss_ratio(self.side.fraction_lost())

    def _tick(self, index: int) -> None:
        self.side.tick(index)
        self.hearing.tick(index, time.monotonic())

    @staticmethod
    def _failed(error: Exception) -> None:
        raise error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Near:
    """What the client has recorded."""

    samples: Samples
    in_t0_s: float
    out_t0_s: float
    concealed_percent: float | None = None
    recovered: int | None = None


async def _place_ours(url: str, script: Script, *, fec: bool) -> _Near:
    sink = NumpySink()
    config = CallConfig(
        api_key="bench", base_url=url, sideband="off", opus=OpusSettings(fec=fec, dtx=False), linger_s=60
    )
    async with connect(config, source=ArraySource(script.samples), sink=sink) as call:
        await asyncio.sleep(script.duration_s + TAIL_S)
        stats = call.stats()
    result = call.result
    assert result.in_t0_monotonic is not None
    assert result.out_t0_monotonic is not None
    return _Near(
        samples=sink.samples,
        in_t0_s=result.in_t0_monotonic,
        out_t0_s=result.out_t0_monotonic,
        concealed_percent=100 * stats.concealed_samples / max(1, stats.total_samples_received),
        recovered=stats.fec_packets_used,
    )


async def _place_shipped(url: str, script: Script) -> _Near:
    """Call by plain aiortc; what it decodes is put where its timestamps say, and as late as it comes by the median."""
    import httpx

    loop = asyncio.get_running_loop()
    begun_s: list[float] = []
    blocks: list[tuple[float, int, Samples]] = []

    class SpeechTrack(AudioStreamTrack):
        n_frames = 0

        async def recv(self) -> AudioFrame:
            await super().recv()  # for its pace
            if not begun_s:
                begun_s.append(loop.time())
            at = self.n_frames * FRAME_SAMPLES
            self.n_frames += 1
            block = script.samples[at : at + FRAME_SAMPLES]
            mono = np.pad(block, (0, FRAME_SAMPLES - len(block)))
            # Its conversion from mono to stereo would take 3 dB away.
            frame = AudioFrame.from_ndarray(np.repeat(mono, 2)[np.newaxis, :], format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, at, Fraction(1, SAMPLE_RATE_HZ)
            return frame

    async def hear(track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = cast("AudioFrame", await track.recv())
                stereo = frame.to_ndarray().reshape(-1, 2).astype(np.int32)
                mono = (stereo.sum(axis=1) // 2).astype(np.int16)
                blocks.append((loop.time(), frame.pts or 0, mono[::2]))
        except MediaStreamError:
            return

    async with AsyncExitStack() as stack:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        stack.push_async_callback(pc.close)
        pc.addTrack(SpeechTrack())
        hearing: list[asyncio.Task[None]] = []
        pc.on("track", lambda track: hearing.append(asyncio.create_task(hear(track))))
        loopback(pc)
        await pc.setLocalDescription(await pc.createOffer())
        body, content_type = form(pc.localDescription.sdp)
        async with httpx.AsyncClient(trust_env=False) as http:
            response = await http.post(f"{url}/realtime/calls", content=body, headers={"content-type": content_type})
        await pc.setRemoteDescription(RTCSessionDescription(sdp=response.text, type="answer"))
        async with asyncio.timeout(10):
            while not begun_s:
                await asyncio.sleep(0.01)
        await asyncio.sleep(script.duration_s + TAIL_S)
    if not blocks:
        return _Near(samples=np.zeros(SAMPLE_RATE_HZ, dtype=np.int16), in_t0_s=begun_s[0], out_t0_s=begun_s[0])
    first_pts = min(pts for _, pts, _ in blocks)
    samples = np.zeros((max(pts for _, pts, _ in blocks) - first_pts) // 2 + FRAME_SAMPLES, dtype=np.int16)
    for _, pts, mono in blocks:
        at = (pts - first_pts) // 2
        samples[at : at + len(mono)] = mono[: len(samples) - at]
    out_t0_s = statistics.median(at_s - (pts - first_pts) / 48_000 for at_s, pts, _ in blocks)
    return _Near(samples=samples, in_t0_s=begun_s[0], out_t0_s=out_t0_s)


def _concealed_percent(hearing: AgentReceiver) -> float:
    return 100 * hearing.jitter.counters.concealed_samples / max(1, hearing.position_samples)


def _row(key: tuple[Stack, Way, Net, bool], group: Sequence[tuple[Heard, Quality]]) -> Row:
    stack, way, net, fec = key
    qualities = [quality for _, quality in group]
    concealed = [heard.concealed_percent for heard, _ in group if heard.concealed_percent is not None]

    def mean(name: str) -> float:
        return round(float(np.mean([getattr(quality, name) for quality in qualities])), 3)

    row = Row(
        stack=stack,
        way=way,
        net=str(net),
        fec=fec,
        n=len(group),
        pesq=mean("pesq"),
        pesq_min=min(q.pesq for q in qualities),
        pesq_max=max(q.pesq for q in qualities),
        stoi=mean("stoi"),
        delay_ms=mean("delay_ms"),
        worst_delay_ms=max(q.worst_delay_ms for q in qualities),
        stretch_ms=mean("stretch_ms"),
        gap_ms=max(q.gap_ms for q in qualities),
        missing_percent=mean("missing_percent"),
        concealed_percent=float(np.mean(concealed)) if concealed else None,
        missed=(),
    )
    return row if stack == "shipped" or not fec else _held_to(row, TARGETS[net])


def _held_to(row: Row, target: Target) -> Row:
    missed = [
        name
        for name, is_met in (
            ("PESQ", not row.pesq < target.pesq - SEED_SPREAD_PESQ),
            ("delay", row.delay_ms <= target.delay_ms),
            ("gap", row.gap_ms <= target.gap_ms),
            ("stretch", row.stretch_ms <= target.stretch_ms),
            ("unrecovered", (row.concealed_percent or 0.0) <= target.unrecovered_percent + 0.3),
        )
        if not is_met
    ]
    return Row(**(asdict(row) | {"missed": tuple(missed)}))


def table(rows: Sequence[Row]) -> str:
    """Return the rows for people."""
    lines = [
        f"{'':8} {'way':4} {'loss/jitter':11} {'FEC':3} {'n':>1} {'PESQ (range)':>18} {'STOI':>6} {'gap':>5} "
        f"{'delay (worst) ms':>16} {'stretch':>7} {'missing %':>9} {'concealed %':>11}  misses"
    ]
    for row in rows:
        concealed = "-" if row.concealed_percent is None else f"{row.concealed_percent:.1f}"
        lines.append(
            f"{row.stack:8} {row.way:4} {row.net:11} {'on' if row.fec else 'off':3} {row.n} "
            f"{row.pesq:5.2f} ({row.pesq_min:4.2f}-{row.pesq_max:4.2f}) {row.stoi:8.3f} {row.gap_ms:5.0f} "
            f"{row.delay_ms:8.0f} ({row.worst_delay_ms:5.0f}) {row.stretch_ms:7.0f} {row.missing_percent:9.2f} "
            f"{concealed:>11}  {', '.join(row.missed)}"
        )
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain values."""
    return [asdict(row) for row in rows]


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw score and delay by network, for what is heard."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    score, delay = figure.subplots(1, 2)
    for stack, fec in (("ours", True), ("ours", False), ("shipped", False)):
        these = [row for row in rows if (row.stack, row.way, row.fec) == (stack, "down", fec)]
        name = stack if stack == "shipped" else f"{stack}, FEC {'on' if fec else 'off'}"
        nets = [row.net for row in these]
        score.plot(nets, [row.pesq for row in these], marker="o", label=name)
        delay.plot(nets, [row.delay_ms for row in these], marker="o", label=name)
    score.set(ylabel="PESQ-WB", ylim=(1, 4.6), xlabel="loss % / jitter ms", title="what the caller hears")
    delay.set(ylabel="ms", ylim=(0, None), xlabel="loss % / jitter ms", title="delay, 20 ms of network included")
    score.legend()
    figure.savefig(path, dpi=120)
