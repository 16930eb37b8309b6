"""A caller that is not ours: a page in headless Chromium makes the offer, a small server posts it to an answerer.

That is how an application with a page works: the page has the media, its own server the key. A page cannot set the
headers that a sideband needs, so that is its server's too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from rtc_client.testing.wire.bell import Bell
from tests.interop.browser import SOUND, Chromium, heard_so_often
from tests.testing.caller import form, post

PAGE = f"""<!doctype html><meta charset="utf-8"><title>caller</title><script>{SOUND}
async function call() {{
  const peer = new RTCPeerConnection();
  measure(peer);
  peer.addTrack(await tone(Number(new URLSearchParams(location.search).get("tone_hz"))));
  peer.createDataChannel("oai-events");
  await peer.setLocalDescription(await peer.createOffer());
  await gathered(peer);
  const {{sdp}} = await (await post("/browser/offer", {{sdp: peer.localDescription.sdp}})).json();
  await peer.setRemoteDescription({{type: "answer", sdp}});
  await fetch("/browser/hang-up");  // answered when the test wants it
  peer.close();
}}
call().catch((error) => post("/browser/failed", {{error: String(error)}}));
</script>"""


@dataclass
class ChromiumCaller:
    """Places one call to an answerer with headless Chromium; use it as an `async with` block."""

    answerer_url: str
    tone_hz: float
    """What the page plays as its microphone, at -15 dBFS."""
    flags: tuple[str, ...] = ()
    heard: list[dict[str, Any]] = field(default_factory=list)
    """What the page measured of the agent, four times a second."""
    failure: str = ""

    async def __aenter__(self) -> Self:
        self._bell = Bell()
        self._hang_up = asyncio.Event()
        app = web.Application()
        app.router.add_get("/", _page)
        app.router.add_get("/favicon.ico", _empty)
        app.router.add_post("/browser/offer", self._post_offer)
        app.router.add_post("/browser/heard", self._take_heard)
        app.router.add_get("/browser/hang-up", self._wait_for_hang_up)
        app.router.add_post("/browser/failed", self._take_failure)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.3)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        page = f"http://127.0.0.1:{self._runner.addresses[0][1]}/?tone_hz={self.tone_hz}"
        self._browser = Chromium(page, self.flags)
        await self._browser.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._browser.kill()
        self._hang_up.set()
        await self._runner.cleanup()

    async def hears(self, frequency_hz: float, times: int, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """Return the last measurements once so many in a row were of this frequency.

        Raises:
            TimeoutError: The page has not heard it by then.
        """
        try:
            return await heard_so_often(self.heard, self._bell, frequency_hz, times, timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error} {self.failure}") from None

    def hang_up(self) -> None:
        """Let the page close its peer connection."""
        self._hang_up.set()

    async def _post_offer(self, request: web.Request) -> web.Response:
        response = await post(self.answerer_url, *form((await request.json())["sdp"]))
        return web.json_response({"sdp": response.raise_for_status().text})

    async def _take_heard(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        self._bell.ring()
        return web.Response()

    async def _wait_for_hang_up(self, _: web.Request) -> web.Response:
        await self._hang_up.wait()
        return web.Response()

    async def _take_failure(self, request: web.Request) -> web.Response:
        self.failure = (await request.json())["error"]
        return web.Response()


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def _empty(_: web.Request) -> web.Response:
    return web.Response()
