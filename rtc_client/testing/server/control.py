"""The control routes of a fake answerer: report, live page, events, faults, hang-up, shutdown.

They are no part of the protocol: what comes in here is not recorded and not judged. They answer this machine's programs
and the answerer's own page, and refuse what another web site makes a browser send.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiohttp import web

from rtc_client.testing.calls.answered_call import AnsweredCall
from rtc_client.testing.faults.faults import Faults
from rtc_client.testing.server.faults import FaultMenu, menu
from rtc_client.testing.server.page import Feed, Page
from rtc_client.testing.server.report import report
from rtc_client.testing.wire.origin_check import error, guarded
from rtc_client.testing.wire.record import Record
from rtc_client.testing.wire.server_events import JsonObject, parse_object

TICK_S: Final = 0.2
"""Between two pieces of news to an open page."""
MAX_PAGES: Final = 16
SEND_LIMIT_S: Final = 5.0
"""A page that does not read for so long is let go; a browser comes back by itself."""


def is_control(path: str) -> bool:
    """Return whether a path is one of ours, and none of the protocol's."""
    return path in ("/", "/favicon.ico") or path.startswith("/_")


class Control:
    """The routes, and the pages that are open."""

    def __init__(
        self, calls: Sequence[AnsweredCall], record: Record, faults: Faults, shutdown_asked: asyncio.Event
    ) -> None:
        self._calls, self._record = calls, record
        self._faults = FaultMenu(faults)
        self._shutdown_asked = shutdown_asked
        self._closing = asyncio.Event()
        self._n_pages = 0
        self._page: Page | None = None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the control routes to those of the protocol."""
        router.add_get("/", guarded(self._show))
        router.add_get("/favicon.ico", guarded(self._icon))
        router.add_get("/_report", guarded(self._report))
        router.add_get("/_events", guarded(self._stream))
        router.add_post("/_shutdown", guarded(self._shut_down))
        router.add_post("/_calls/{call_id}/hang_up", guarded(self._hang_up))
        router.add_post("/_calls/{call_id}/event", guarded(self._send_event))
        router.add_post("/_calls/{call_id}/faults", guarded(self._begin_fault))
        router.add_get("/_faults", guarded(self._tell_faults))
        router.add_post("/_faults", guarded(self._begin_fault))
        router.add_delete("/_faults/{number:[0-9]{1,12}}", guarded(self._end_fault))

    def release(self) -> None:
        """Let the open pages go: the answerer closes."""
        self._closing.set()

    async def _show(self, _: web.Request) -> web.StreamResponse:
        page = self._page = self._page or Page()
        return web.Response(text=page.html, content_type="text/html", headers=page.headers)

    async def _icon(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def _report(self, request: web.Request) -> web.StreamResponse:
        call_id = request.query.get("call_id")
        if call_id is not None and self._call(call_id) is None:
            return error(404, "no such call")
        told = await report(self._calls, self._record, call_id)
        return web.json_response(told, headers={"Cache-Control": "no-store"})

    async def _shut_down(self, _: web.Request) -> web.StreamResponse:
        self._shutdown_asked.set()
        return web.json_response({"closing": True}, status=202)

    async def _hang_up(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request.match_info["call_id"])
        if call is None:
            return error(404, "no such call")
        await call.hang_up()
        return web.json_response({"state": call.state})

    async def _send_event(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request.match_info["call_id"])
        if call is None:
            return error(404, "no such call")
        event = await _json_body(request)
        if event is None or not isinstance(event.get("type"), str):
            return error(400, 'an event is a JSON object with a string "type"')
        try:
            await call.send_event(event)
        except ConnectionError as failure:
            return error(409, f"the event was not sent: {failure}")
        return web.json_response({})

    async def _tell_faults(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"menu": menu(), "running": self._faults.running()})

    async def _begin_fault(self, request: web.Request) -> web.StreamResponse:
        call_id = request.match_info.get("call_id")
        call = None if call_id is None else self._call(call_id)
        if call_id is not None and call is None:
            return error(404, "no such call")
        if call is not None and call.ended_by is not None:
            return error(409, "the call is over")
        match await _json_body(request):
            case {"name": str() as name, **rest} if isinstance(options := rest.get("options", {}), dict):
                try:
                    return web.json_response({"number": self._faults.begin(name, options, call)})
                except ValueError as mistake:
                    return error(400, str(mistake))
        return error(400, 'need {"name": "...", "options": {...}}; GET /_faults tells what there is')

    async def _end_fault(self, request: web.Request) -> web.StreamResponse:
        if not self._faults.end(int(request.match_info["number"])):
            return error(404, "no fault by this number is running")
        return web.json_response({})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Tell an open page what is new, until it or the answerer is closed."""
        if self._n_pages >= MAX_PAGES:
            return error(503, f"{MAX_PAGES} pages are open already: close one")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        feed = Feed(self._calls, self._record, self._faults)
        self._n_pages += 1
        try:
            await response.prepare(request)
            while not self._closing.is_set():
                text = "".join(f"event: {name}\ndata: {json.dumps(what)}\n\n" for name, what in feed.news())
                async with asyncio.timeout(SEND_LIMIT_S):
                    await response.write(text.encode())
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._closing.wait()
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._n_pages -= 1
        return response

    def _call(self, call_id: str) -> AnsweredCall | None:
        return next((call for call in self._calls if call.call_id == call_id), None)


async def _json_body(request: web.Request) -> JsonObject | None:
    """Return the JSON object in a body, or None."""
    try:
        return parse_object(await request.text())
    except UnicodeDecodeError:
        return None
