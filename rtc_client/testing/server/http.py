"""The HTTP half of the fake answerer: its routes, the recording and judging of requests, the faults they meet.

What happens inside a call is `testing/calls/answered_call.py`'s; starting and stopping the server is `answerer.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, assert_never

from aiohttp import web

from rtc_client.testing.calls import websocket_rules as strict_direct
from rtc_client.testing.calls.answered_call import AnsweredCall, CallEnd
from rtc_client.testing.calls.sideband import Sideband
from rtc_client.testing.calls.webrtc_media import OfferUnusable
from rtc_client.testing.faults.effects import ChangeAnswer, ChangeLocation, ChangeSdp, Drop, Hold, PostFault, Refuse
from rtc_client.testing.faults.faults import Faults
from rtc_client.testing.rules import requests as strict
from rtc_client.testing.rules.retries import Tries
from rtc_client.testing.server.client_secrets import ClientSecrets
from rtc_client.testing.server.control import Control, is_control
from rtc_client.testing.server.replies import error_answer, refused
from rtc_client.testing.server.rest import RestRoutes, hold
from rtc_client.testing.server.sip import SipCall
from rtc_client.testing.wire.posted_offer import PostedOffer, read_offer
from rtc_client.testing.wire.record import Record, SeenRequest, Violation
from rtc_client.testing.wire.wire_log import REDACTED, WireEntry, body_fields

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
MAX_LOCATIONS: Final = 2_000
"""Locations remembered that were told; the oldest are forgotten."""
LIVE_PATH: Final = f"{strict.API_PREFIX}/live"
"""Where a later dialect (section 11) posts its offers, and joins its sidebands below; only a lenient desk is there."""

_SEEN: Final = web.RequestKey("seen", SeenRequest)
_ENTRY: Final = web.RequestKey("entry", WireEntry)
_HIDDEN: Final = web.RequestKey("hidden", str)
"""A key in the answer, which the log must not hold."""

Answer: TypeAlias = Callable[[PostedOffer | None, SeenRequest], Awaitable[AnsweredCall]]


Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpRoutes:
    """Takes requests and hands them to calls."""

    def __init__(
        self,
        *,
        answer: Answer,
        calls: list[AnsweredCall],
        record: Record,
        faults: Faults,
        control: Control,
        opening: Callable[[], Faults],
        strict_refuse: bool,
        keys: ClientSecrets,
        sip_calls: list[SipCall],
    ) -> None:
        """`answer` makes a call of an offer, or raises `OfferUnusable`; it also adds it to `calls`.

        Without an offer it makes a call over a websocket.

        `opening` tells the faults that the next call begins with.
        """
        self._answer, self._calls = answer, calls
        self._record, self._faults, self._control = record, faults, control
        self._opening = opening
        self._strict_refuse = strict_refuse
        self._is_lenient = record.is_lenient
        self._tries = Tries()
        self._told: deque[str] = deque(maxlen=MAX_LOCATIONS)
        self._refused_keys: deque[str | None] = deque(maxlen=MAX_LOCATIONS)
        self._closing = asyncio.Event()
        self._keys = keys
        self._rest = RestRoutes(
            keys=keys, sip_calls=sip_calls, calls=calls, record=record, faults=faults, closing=self._closing
        )

    def application(self) -> web.Application:
        """Return the routes, ready to be served."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        place_call, join_sideband = self._seen(self._place_call), self._seen(self._join_sideband)
        for prefix in (strict.API_PREFIX, strict.BACKEND_PREFIX):
            app.router.add_post(f"{prefix}/realtime/calls", place_call)
            app.router.add_post(f"{prefix}/realtime/calls/{{call_id}}/hangup", self._seen(self._hang_up))
            verb = "{verb:accept|reject|refer}"
            app.router.add_post(f"{prefix}/realtime/calls/{{call_id}}/{verb}", self._seen(self._do))
            app.router.add_post(f"{prefix}/realtime/client_secrets", self._seen(self._mint))
        app.router.add_get(f"{strict.API_PREFIX}/realtime", join_sideband)
        self._control.add_routes(app.router)
        if self._is_lenient:
            app.router.add_post(LIVE_PATH, place_call)
            app.router.add_get(LIVE_PATH + "/{call_id}", join_sideband)
        for prefix in (strict.API_PREFIX, strict.BACKEND_PREFIX):
            app.router.add_route("*", prefix + "/realtime{rest:(/.*)?}", self._seen(self._find_nothing))
        app.router.add_route("*", "/{rest:.*}", self._seen(self._know_nothing))
        return app

    def release(self) -> None:
        """Let go of every request that a fault holds: the answerer closes."""
        self._closing.set()
        self._control.release()

    def _seen(self, handler: Handler) -> Handler:
        """Return a handler whose requests are recorded.

        No middleware does it: aiohttp remembers the last 1,024 handlers that it wrapped in one, and with each of them
        an answerer and everything that was heard in its calls.
        """

        async def see(request: web.Request) -> web.StreamResponse:
            return await self._see(request, handler)

        return see

    async def _see(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Record a request before anything is done with it, and what was answered."""
        if is_control(request.path):
            return await handler(request)
        body = await request.read()
        wire = self._record.wire
        seen = SeenRequest(
            method=request.method,
            target=request.raw_path,
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers],
            body=body,
            at_s=wire.now_s(),
            late_s=self._record.stalls.lost_before_s(wire.started_at_s + wire.now_s()),
            http_version=f"{request.version.major}.{request.version.minor}",
        )
        request[_SEEN] = seen
        is_handshake = "websocket" in (seen.header("upgrade") or "").lower()
        if is_handshake:
            self._record.saw_handshake(seen)
        else:
            self._record.saw_request(seen)
        call = self._call(request.match_info.get("call_id") or dict(seen.query).get("call_id", ""))
        request[_ENTRY] = wire.add(
            "c2s",
            "ws_open" if is_handshake else "http_request",
            None if call is None else call.call_id,
            method=seen.method,
            target=wire.target(seen.target),
            headers=wire.headers(seen.headers),
            **body_fields(seen.body),
        )
        try:
            response = await handler(request)
        except web.HTTPException as response_raised:
            self._keep_response(request, response_raised)
            raise
        self._keep_response(request, response)
        if response.status == 401:
            self._refused_keys.append(seen.header("authorization"))
        if (location := response.headers.get("Location")) is not None:
            self._told.append(location)
        return response

    def _keep_response(self, request: web.Request, response: web.StreamResponse) -> None:
        if not isinstance(response, web.Response):
            return  # a sideband keeps its own
        entry, wire, transport = request[_ENTRY], self._record.wire, request.transport
        if transport is None or transport.is_closing():
            # aborted by a fault; a client that went away while it waited has none any more
            wire.add("c2s" if transport is None else "s2c", "tcp_close", entry.call_id, answers=entry.number)
            return
        body = response.body if isinstance(response.body, bytes) else b""
        if hidden := request.get(_HIDDEN):
            body = body.replace(hidden.encode(), REDACTED.encode())
        wire.add(
            "s2c",
            "http_response",
            entry.call_id,
            answers=entry.number,
            status=response.status,
            headers=wire.headers(response.headers.items()),
            **body_fields(body),
        )

    async def _place_call(self, request: web.Request) -> web.StreamResponse:
        seen = request[_SEEN]
        repeated = self._tries.post_came(seen)
        response = await self._place(request, seen, repeated)
        self._tries.post_answered(seen, response.status, response.headers.get("Retry-After"))
        return response

    async def _place(self, request: web.Request, seen: SeenRequest, repeated: list[Violation]) -> web.StreamResponse:
        violations = strict.check_post(seen) + repeated
        offer: PostedOffer | None = None
        complaint = ""
        try:
            offer = read_offer(seen, lenient=self._is_lenient)
            violations += strict.check_posted_offer(offer)
        except ValueError as error:
            complaint = str(error)
        fault = self._faults.next_for_post() or self._opening().next_for_post()
        if isinstance(fault, Refuse | Drop):
            refusal = refused(request, fault)
        elif (key_complaint := self._keys.complaint(seen)) is not None:
            refusal = error_answer(401, key_complaint)
        elif offer is None:
            self._record.blame([strict.unreadable(seen, complaint)], None, refused=True)
            refusal = error_answer(400, complaint)
        elif violations and self._strict_refuse:
            refusal = error_answer(400, "; ".join(f"section {v.section}: {v.message}" for v in violations))
        else:
            try:
                call = await self._answer(offer, seen)
            except OfferUnusable as error:
                self._record.blame([strict.unreadable(seen, str(error))], None, refused=True)
                refusal = error_answer(400, str(error))
            else:
                request[_ENTRY].call_id = call.call_id
                self._record.blame(violations, call.call_id)
                return await self._answer_with(call, fault)
        self._record.blame(violations, None)
        return refusal

    async def _answer_with(self, call: AnsweredCall, fault: PostFault | None) -> web.StreamResponse:
        """Return the answer to an offer, spoilt by its fault."""
        status, body, content_type = 201, call.answer_sdp.encode(), "application/sdp"
        location: str | None = f"/v1/realtime/calls/{call.call_id}"
        match fault:
            case None | Refuse() | Drop():
                pass
            case Hold(for_s):
                await hold(self._closing, for_s)
            case ChangeLocation(other):
                location = other and other.replace("{call_id}", call.call_id)
            case ChangeAnswer(other_body, other_type, other_status):
                body = body if other_body is None else other_body
                content_type, status = other_type or content_type, other_status or status
            case ChangeSdp(change, is_mute):
                if is_mute:
                    call.vanish()
                body = change(call.answer_sdp).encode()
            case _:
                assert_never(fault)
        headers = {"Content-Type": content_type} | ({} if location is None else {"Location": location})
        return web.Response(status=status, body=body, headers=headers)

    async def _join_sideband(self, request: web.Request) -> web.StreamResponse:
        seen = request[_SEEN]
        if strict_direct.is_websocket(seen):
            return await self._answer_directly(request, seen)
        call_id = request.match_info.get("call_id") or dict(seen.query).get("call_id", "")
        call = self._call(call_id)
        post = call.post if call else None
        violations = strict.check_handshake(seen, post, is_key_refused=self._is_key_refused(post))
        violations += self._tries.handshake_came(seen, call_id)
        self._record.blame(violations, call.call_id if call else None)
        if call is None and not self._is_told(call_id):
            self._record.blame([strict.UNKNOWN_CALL], None, refused=True)
        refusal: web.StreamResponse | None = None
        match (call.faults.next_for_handshake() if call else None) or self._faults.next_for_handshake():
            case Refuse() | Drop() as fault:
                refusal = refused(request, fault)
            case Hold(for_s):
                await hold(self._closing, for_s)
            case None:
                pass
        if refusal is None and (complaint := self._keys.complaint(seen)) is not None:
            refusal = error_answer(401, complaint)
        if refusal is None and (call is None or call.ended_by is not None):
            refusal = error_answer(404, "no such call")
        self._tries.handshake_answered(seen, call_id, 101 if refusal is None else refusal.status)
        if refusal is not None or call is None:
            return refusal or error_answer(404, "no such call")
        sideband = Sideband(request, self._record.wire, call.call_id)
        websocket = await sideband.accept()
        await call.serve_sideband(sideband)
        return websocket

    async def _answer_directly(self, request: web.Request, seen: SeenRequest) -> web.StreamResponse:
        """Answer the handshake of a call that is nothing but a websocket (section 10)."""
        violations = strict_direct.check_handshake(seen) + self._tries.handshake_came(seen, str(seen.at_s))
        match self._faults.next_for_handshake() or self._opening().next_for_handshake():
            case Refuse() | Drop() as fault:
                self._record.blame(violations, None)
                return refused(request, fault)
            case Hold(for_s):
                await hold(self._closing, for_s)
            case None:
                pass
        if (complaint := self._keys.complaint(seen)) is not None:
            self._record.blame(violations, None)
            return error_answer(401, complaint)
        call = await self._answer(None, seen)
        request[_ENTRY].call_id = call.call_id
        self._record.blame(violations, call.call_id)
        sideband = Sideband(request, self._record.wire, call.call_id, keeps_sound=False)
        websocket = await sideband.accept()
        await call.serve_sideband(sideband)
        return websocket

    async def _hang_up(self, request: web.Request) -> web.StreamResponse:
        seen = request[_SEEN]
        call = self._call(request.match_info["call_id"])
        if call is None and (sip_call := self._rest.sip_call(request.match_info["call_id"])) is not None:
            return await self._rest.hang_up(request, seen, sip_call)
        if call is None:
            if not self._is_told(request.match_info["call_id"]):
                self._record.blame([strict.UNKNOWN_CALL], None, refused=True)
            return error_answer(404, "no such call")
        violations = strict.check_hangup(
            seen, call.post, is_repeated=call.hung_up_by_client, is_key_refused=self._is_key_refused(call.post)
        )
        self._record.blame(violations, call.call_id)
        if (refusal := await self._rest.refusal(request, seen, call)) is not None:
            return refusal
        call.hung_up_by_client = True
        call.begin_end(CallEnd.CLIENT_HANGUP)
        return web.json_response({})

    async def _mint(self, request: web.Request) -> web.StreamResponse:
        response, request[_HIDDEN] = await self._rest.mint(request, request[_SEEN])
        return response

    async def _do(self, request: web.Request) -> web.StreamResponse:
        call_id = request.match_info["call_id"]
        if self._call(call_id) is None and self._rest.sip_call(call_id) is None and not self._is_told(call_id):
            self._record.blame([strict.UNKNOWN_CALL], None, refused=True)
        return await self._rest.do(request, request[_SEEN], request.match_info["verb"], call_id)

    async def _find_nothing(self, request: web.Request) -> web.StreamResponse:
        """Answer what is no request of the protocol; a redirect of ours may lead here."""
        if not any(location.partition("?")[0].endswith(request[_SEEN].path) for location in self._told):
            self._record.blame([strict.NOTHING_THERE], None, refused=True)
        return error_answer(404, "there is nothing at this path, or not for this method")

    async def _know_nothing(self, request: web.Request) -> web.StreamResponse:
        """Answer what has nothing to do with calls."""
        raise web.HTTPNotFound

    def _is_key_refused(self, post: SeenRequest | None) -> bool:
        """Whether the key that placed a call was refused later."""
        return post is not None and post.header("authorization") in self._refused_keys

    def _is_told(self, call_id: str) -> bool:
        """Whether a Location of ours, as a fault may have changed it, names this call."""
        return any(strict.call_id_of(location) == call_id for location in self._told)

    def _call(self, call_id: str) -> AnsweredCall | None:
        return next((call for call in self._calls if call.call_id == call_id), None)
