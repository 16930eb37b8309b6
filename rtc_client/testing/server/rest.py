"""RestRoutes: the fake answerer's routes for client secrets and for SIP calls.

How the real service words a verb that comes at the wrong time is not known; here it is a 400 that says so.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from rtc_client.testing.calls.answered_call import AnsweredCall
from rtc_client.testing.faults.effects import Drop, Hold, Refuse
from rtc_client.testing.faults.faults import Faults
from rtc_client.testing.rules import rest as strict_rest
from rtc_client.testing.server.client_secrets import ClientSecrets
from rtc_client.testing.server.replies import error_answer, refused
from rtc_client.testing.server.sip import SipCall, SipState
from rtc_client.testing.wire.record import Record, SeenRequest, Violation
from rtc_client.testing.wire.server_events import JsonObject

DEFAULT_LIFE_S: Final = 600
"""Of a key that was minted without saying how long it shall live."""

_NEEDED: Final = {"accept": SipState.RINGING, "reject": SipState.RINGING, "refer": SipState.ACCEPTED}


class RestRoutes:
    """Mints keys, and does with SIP calls what it is told to."""

    def __init__(
        self,
        *,
        keys: ClientSecrets,
        sip_calls: Sequence[SipCall],
        calls: Sequence[AnsweredCall],
        record: Record,
        faults: Faults,
        closing: asyncio.Event,
    ) -> None:
        self._keys, self._sip_calls, self._calls = keys, sip_calls, calls
        self._record, self._faults = record, faults
        self._closing = closing

    def sip_call(self, call_id: str) -> SipCall | None:
        """Return the SIP call of this id."""
        return next((call for call in self._sip_calls if call.call_id == call_id), None)

    async def mint(self, request: web.Request, seen: SeenRequest) -> tuple[web.StreamResponse, str]:
        """Return the answer to a request for an ephemeral key, and the key that is in it, empty if none is."""
        if (refusal := await self.met(request, seen, None)) is not None:
            return refusal, ""
        body, violations = strict_rest.read_body(seen, "client_secrets")
        if violations:
            return self._refuse(violations, None), ""
        life, session = body.get("expires_after"), body.get("session")
        life_s = life["seconds"] if isinstance(life, dict) else DEFAULT_LIFE_S
        asked: JsonObject = session if isinstance(session, dict) else {"type": "realtime"}
        kind = "realtime.transcription_session" if asked["type"] == "transcription" else "realtime.session"
        whole: JsonObject = {"id": f"sess_{secrets.token_hex(12)}", "object": kind, **asked}
        key = self._keys.mint(whole, life_s)
        answer = {"value": key.value, "expires_at": key.expires_at, "session": whole}
        return web.json_response(answer), key.value

    async def do(self, request: web.Request, seen: SeenRequest, verb: str, call_id: str) -> web.StreamResponse:
        """Return the answer to `accept`, `reject` or `refer` of a call."""
        if (refusal := await self.met(request, seen, call_id)) is not None:
            return refusal
        body, violations = strict_rest.read_body(seen, verb)
        if violations:
            return self._refuse(violations, call_id)
        call = self.sip_call(call_id)
        if call is None:
            known = any(other.call_id == call_id for other in self._calls)
            return error_answer(400, "the call is not a SIP call") if known else error_answer(404, "no such call")
        if call.state is not _NEEDED[verb]:
            return error_answer(400, f"cannot {verb} the call: {call.state.value}")
        match verb:
            case "accept":
                call.state, call.session = SipState.ACCEPTED, body
            case "reject":
                status = body.get("status_code", 603)
                call.state, call.status_code = SipState.REJECTED, status if isinstance(status, int) else None
            case "refer":
                call.state, call.target_uri = SipState.REFERRED, str(body["target_uri"])
        return web.Response()

    async def hang_up(self, request: web.Request, seen: SeenRequest, call: SipCall) -> web.StreamResponse:
        """Return the answer to the hang-up of a SIP call."""
        if (refusal := await self.met(request, seen, call.call_id)) is not None:
            return refusal
        if call.state not in (SipState.RINGING, SipState.ACCEPTED):
            return error_answer(404, "no such call")
        call.state = SipState.HUNG_UP
        return web.Response()

    async def met(self, request: web.Request, seen: SeenRequest, call_id: str | None) -> web.StreamResponse | None:
        """Judge the headers, and do as `refusal` does; a request without a key is refused as well."""
        self._record.blame(strict_rest.check_headers(seen), call_id)
        if seen.header("authorization") is None:
            return error_answer(401, "there is no key")
        return await self.refusal(request, seen, None)

    async def refusal(
        self, request: web.Request, seen: SeenRequest, call: AnsweredCall | None
    ) -> web.StreamResponse | None:
        """Hold as long as a fault says, and return what refuses the request: a fault, its key, or None for nothing."""
        match (call.faults.next_for_rest() if call else None) or self._faults.next_for_rest():
            case Refuse() | Drop() as fault:
                return refused(request, fault)
            case Hold(for_s):
                await hold(self._closing, for_s)
            case None:
                pass
        complaint = self._keys.complaint(seen)
        return None if complaint is None else error_answer(401, complaint)

    def _refuse(self, violations: list[Violation], call_id: str | None) -> web.StreamResponse:
        self._record.blame(violations, call_id, refused=True)
        return error_answer(400, "; ".join(violation.message for violation in violations))


async def hold(closing: asyncio.Event, for_s: float) -> None:
    """Return after so many seconds, or when the answerer closes."""
    try:
        async with asyncio.timeout(None if math.isinf(for_s) else for_s):
            await closing.wait()
    except TimeoutError:
        return
