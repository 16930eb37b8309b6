"""A far side that is not ours: a page in headless Chromium answers the offer, a small server carries its SDP.

The page plays a WebAudio oscillator as its track and measures what it hears with an analyser. Signaling and sideband
are the least that a call needs; that they are right is shown by other tests. How Chromium is started, and its sound,
are also `browser_caller.py`'s.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from rtc_client.testing.wire.bell import Bell

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-domain-reliability",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--allow-loopback-in-peer-connection",
)

SOUND = """
const post = (path, what) => fetch(path, {method: "POST", body: JSON.stringify(what)});
const context = new AudioContext({sampleRate: 48000});
async function tone(frequency) {  // as a track, at -15 dBFS
  await context.resume();
  const oscillator = new OscillatorNode(context, {frequency});
  const out = new MediaStreamAudioDestinationNode(context);
  oscillator.connect(new GainNode(context, {gain: 0.25})).connect(out);
  oscillator.start();
  return out.stream.getAudioTracks()[0];
}
function measure(peer) {  // what comes in, four times a second
  const states = [];
  peer.onconnectionstatechange = () => states.push([performance.now(), peer.connectionState]);
  peer.ontrack = ({track}) => {
    const stream = new MediaStream([track]);
    const sound = new Audio();  // without an element that plays it, a remote track stays silent in WebAudio
    sound.srcObject = stream; sound.muted = true; sound.play();
    const analyser = new AnalyserNode(context, {fftSize: 16384, smoothingTimeConstant: 0});
    new MediaStreamAudioSourceNode(context, {mediaStream: stream}).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount), wave = new Float32Array(analyser.fftSize);
    setInterval(async () => {
      analyser.getFloatFrequencyData(bins); analyser.getFloatTimeDomainData(wave);
      const peak = bins.reduce((best, value, index) => value > bins[best] ? index : best, 1);
      const power = wave.reduce((sum, value) => sum + value * value, 0) / wave.length;
      const inbound = [...(await peer.getStats()).values()].find((s) => s.type === "inbound-rtp") || {};
      post("/browser/heard", {
        frequency_hz: peak * context.sampleRate / analyser.fftSize, level_dbfs: 10 * Math.log10(power + 1e-12),
        packets: inbound.packetsReceived, lost: inbound.packetsLost, concealed: inbound.concealedSamples,
        samples: inbound.totalSamplesReceived, state: peer.connectionState, states,
      });
    }, 250);
  };
}
async function gathered(peer) {
  while (peer.iceGatheringState !== "complete")
    await new Promise((done) => peer.addEventListener("icegatheringstatechange", done, {once: true}));
}
"""

PAGE = f"""<!doctype html><meta charset="utf-8"><title>answerer</title><script>{SOUND}
async function serve() {{
  const {{sdp, tone_hz}} = await (await fetch("/browser/offer")).json();
  const peer = new RTCPeerConnection();
  measure(peer);
  peer.addTrack(await tone(tone_hz));
  await peer.setRemoteDescription({{type: "offer", sdp}});
  await peer.setLocalDescription(await peer.createAnswer());
  await gathered(peer);
  await post("/browser/answer", {{sdp: peer.localDescription.sdp}});
  await fetch("/browser/hang-up");  // answered when the test wants it
  peer.close();
}}
serve().catch((error) => post("/browser/failed", {{error: String(error)}}));
</script>"""


class Chromium:
    """A headless Chromium that shows one page."""

    def __init__(self, url: str, flags: tuple[str, ...] = ()) -> None:
        self._url, self._flags = url, flags

    async def start(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        self._process = await asyncio.create_subprocess_exec(
            executable() or "chromium", *FLAGS, *self._flags, f"--user-data-dir={self._profile}", self._url,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    async def kill(self) -> None:
        # The browser is a family of processes; they are in a group of their own.
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)


async def heard_so_often(
    heard: list[dict[str, Any]], bell: Bell, frequency_hz: float, times: int, timeout_s: float
) -> list[dict[str, Any]]:
    """Return the last of what a page measured, once so many in a row were of this frequency."""

    def find() -> list[dict[str, Any]] | None:
        last = heard[-times:]
        is_heard = len(last) == times and all(abs(m["frequency_hz"] - frequency_hz) < 3 for m in last)
        return last if is_heard else None

    return await bell.until(
        find, timeout_s=timeout_s, what=lambda: f"{frequency_hz} Hz at the browser (last: {heard[-1:]})"
    )


@dataclass
class ChromiumAnswerer:
    """Answers one call with headless Chromium; use it as an `async with` block."""

    tone_hz: float = 660.0
    heard: list[dict[str, Any]] = field(default_factory=list)
    """What the page measured of the caller, four times a second."""
    answer_sdp: str = ""
    flags: tuple[str, ...] = ()
    base_url: str = ""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._offer: asyncio.Future[str] = loop.create_future()
        self._answer: asyncio.Future[str] = loop.create_future()
        self._page_ready = asyncio.Event()
        self._hang_up = asyncio.Event()
        self._bell = Bell()
        app = web.Application()
        app.router.add_post("/v1/realtime/calls", self._take_offer)
        app.router.add_post("/v1/realtime/calls/{call_id}/hangup", _empty)
        app.router.add_get("/v1/realtime", _sideband)
        app.router.add_get("/", _page)
        app.router.add_get("/favicon.ico", _empty)
        app.router.add_get("/browser/offer", self._give_offer)
        app.router.add_post("/browser/answer", self._take_answer)
        app.router.add_get("/browser/hang-up", self._wait_for_hang_up)
        app.router.add_post("/browser/heard", self._take_heard)
        app.router.add_post("/browser/failed", self._take_failure)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.3)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.base_url = f"{origin}/v1"
        self._browser = Chromium(f"{origin}/", self.flags)
        await self._browser.start()
        try:
            async with asyncio.timeout(20):
                await self._page_ready.wait()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._browser.kill()
        self._hang_up.set()
        for future in (self._offer, self._answer):
            future.cancel()
        await self._runner.cleanup()

    async def hears(self, frequency_hz: float, times: int, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Return the last measurements once so many in a row were of this frequency, within one bin of the analyser.

        Raises:
            TimeoutError: The page has not heard it by then.
        """
        return await heard_so_often(self.heard, self._bell, frequency_hz, times, timeout_s)

    def hang_up(self) -> None:
        """Let the page close its peer connection."""
        self._hang_up.set()

    async def _give_offer(self, _: web.Request) -> web.Response:
        self._page_ready.set()
        return web.json_response({"sdp": await self._offer, "tone_hz": self.tone_hz})

    async def _take_offer(self, request: web.Request) -> web.Response:
        async for part in await request.multipart():
            if part.name == "sdp":  # type: ignore[union-attr]
                self._offer.set_result(await part.text())  # type: ignore[union-attr]
        answer = await asyncio.wait_for(asyncio.shield(self._answer), 8)
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": "/v1/realtime/calls/rtc_browser"},
        )

    async def _take_answer(self, request: web.Request) -> web.Response:
        self.answer_sdp = (await request.json())["sdp"]
        self._answer.set_result(self.answer_sdp)
        return web.Response()

    async def _take_heard(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        self._bell.ring()
        return web.Response()

    async def _wait_for_hang_up(self, _: web.Request) -> web.Response:
        await self._hang_up.wait()
        return web.Response()

    async def _take_failure(self, request: web.Request) -> web.Response:
        self._answer.set_exception(RuntimeError((await request.json())["error"]))
        return web.Response()


def executable() -> str | None:
    """Return where a Chromium is, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def _empty(_: web.Request) -> web.Response:
    return web.Response()


async def _sideband(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is web.WSMsgType.TEXT:
            await socket.send_json({"type": "session.updated", "session": message.json().get("session", {})})
    return socket
