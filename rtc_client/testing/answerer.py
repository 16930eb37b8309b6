"""FakeAnswerer: a real server on loopback that answers realtime v1 voice calls, to test callers against.

Here are its life and its face; the routes are `server/http.py`'s, a call is `calls/answered_call.py`'s.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from rtc_client.cassette.cassette import Cassette
from rtc_client.cassette.reference_client import read
from rtc_client.clock import Clock, MonotonicClock
from rtc_client.testing.aiortc_internals import LOOPBACK, Interfaces
from rtc_client.testing.calls.answered_call import AnsweredCall, CallEnd
from rtc_client.testing.cassette.tape import Tape, check_replayable
from rtc_client.testing.faults.by_name import begin_fault
from rtc_client.testing.faults.faults import Fault, Faults
from rtc_client.testing.network.udp_relay import Impairment, Network
from rtc_client.testing.rules.requests import API_PREFIX, BACKEND_PREFIX
from rtc_client.testing.scenario.scenario import Scenario, scenario_of
from rtc_client.testing.scenario.script import AgentScript
from rtc_client.testing.scenario.verdict import ScenarioFailed, ScenarioReport
from rtc_client.testing.scenario.voices import VoiceBox
from rtc_client.testing.server.client_secrets import ClientSecrets, MintedKey
from rtc_client.testing.server.control import Control
from rtc_client.testing.server.http import HttpRoutes
from rtc_client.testing.server.report import report
from rtc_client.testing.server.sip import SipCall
from rtc_client.testing.wire.posted_offer import PostedOffer
from rtc_client.testing.wire.record import Record, SeenRequest, Violation
from rtc_client.testing.wire.server_events import JsonObject
from rtc_client.testing.wire.stalls import Stalls
from rtc_client.testing.wire.wire_log import WireEntry, WireLog

log = logging.getLogger(__name__)

MAX_CALLS_KEPT: Final = 256
"""Beyond these the oldest calls that are over are forgotten, with the sound that was heard in them."""
SHUTDOWN_LIMIT_S: Final = 0.3
"""How long a request that is being served may still take when the calls have ended."""


def random_call_id() -> str:
    """Return a call id as the service makes them: `rtc_` and a random rest."""
    return f"rtc_{secrets.token_hex(12)}"


def _both_ways(relay: Network | Impairment | None) -> Network | None:
    return Network(to_agent=relay, to_caller=relay) if isinstance(relay, Impairment) else relay


class FakeAnswerer:
    """Answers calls for as long as its `async with` block lasts; any number at a time.

    HTTP and websocket share one port; the media of each call has a UDP port of its own.
    """

    def __init__(
        self,
        *,
        script: AgentScript | None = None,
        scenario: Scenario | None = None,
        cassette: Cassette | Path | str | None = None,
        check_on_exit: bool = True,
        host: str = LOOPBACK,
        port: int = 0,
        interfaces: Interfaces = "loopback",
        relay: Network | Impairment | None = None,
        strict_refuse: bool = False,
        lenient: bool = False,
        clock: Clock | None = None,
        new_call_id: Callable[[], str] = random_call_id,
    ) -> None:
        """What the agent does is a `script`, or a `scenario`, which also says what the client does. When it did not,
        leaving the block raises `ScenarioFailed`, unless another exception leaves it or `check_on_exit` is false.

        With a `cassette` the agent does in every call what was recorded, and what a client sends otherwise than the
        recorded one is a violation.

        `interfaces="all"` offers the media on every address of the machine, so that others can call.

        With `relay` the media of every call passes a bad network, the same again for each; one `Impairment` stands
        for both directions.

        With `strict_refuse` a POST that violates the protocol gets a 400 that says why. With `lenient` other dialects
        are understood as far as a call can come of them, and only what had to be refused is a violation.

        It listens on `host` and `port`, 0 for any that is free; a call gets the id that `new_call_id` returns.

        Raises:
            ValueError: Two of these contradict each other.
        """
        if strict_refuse and lenient:
            raise ValueError("an answerer is either lenient, or refuses what violates the protocol")
        if sum(one is not None for one in (script, scenario, cassette)) > 1:
            raise ValueError("an answerer has a script, a scenario or a cassette, only one of them")
        self._cassette = read(cassette) if isinstance(cassette, Path | str) else cassette
        if self._cassette is not None:
            script = AgentScript(silence="nothing")
            check_replayable(self._cassette)
        self.faults = Faults(self._listen)
        """What every client meets."""
        self.calls: list[AnsweredCall] = []
        """Every call, in order of arrival; also those that are over, as far as they are kept."""
        self.sip_calls: list[SipCall] = []
        """Every call that has rung, in order, as far as they are kept; `ring()` lets one ring."""
        self.relay = relay
        """The network of the calls to come; may be replaced between calls."""
        self.shutdown_asked = asyncio.Event()
        """Set when somebody has posted to `/_shutdown`; whoever runs the answerer decides what follows."""
        self._n_forgotten = 0
        self.port = port
        self._host = host
        self._interfaces = interfaces
        self._strict_refuse = strict_refuse
        self._clock = clock or MonotonicClock()
        self._keys = ClientSecrets(self._clock)
        self._new_call_id = new_call_id
        self._record = Record(WireLog(self._clock), Stalls(self._clock), is_lenient=lenient)
        self._voices = VoiceBox()
        self._script = script or AgentScript()
        self._scenario = scenario or scenario_of(self._script)
        self._check_on_exit = check_on_exit
        self._opening: tuple[Faults, list[Fault]] = (Faults(), [])
        self._forgotten_failures: list[ScenarioReport] = []
        self._site: web.TCPSite | None = None
        self._listening: asyncio.Task[None] | None = None
        self._desk: HttpRoutes | None = None
        self._runner: web.AppRunner | None = None
        self._closing: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            OSError: If the address or the port cannot be had.
            AudioFileUnreadable: If a clip of the scenario cannot be read.
        """
        if self._runner is not None or self._closing is not None:
            raise RuntimeError("an answerer serves once: make another")
        self.scenario = self._scenario
        self._desk = HttpRoutes(
            answer=self._answer,
            calls=self.calls,
            record=self._record,
            faults=self.faults,
            control=Control(self.calls, self._record, self.faults, self.shutdown_asked),
            opening=lambda: self._opening[0],
            strict_refuse=self._strict_refuse,
            keys=self._keys,
            sip_calls=self.sip_calls,
        )
        self._runner = web.AppRunner(self._desk.application(), access_log=None, shutdown_timeout=SHUTDOWN_LIMIT_S)
        try:
            await self._runner.setup()
            self._site = web.TCPSite(self._runner, self._host, self.port)
            await self._site.start()
        except BaseException:
            await self.aclose()
            raise
        self.port = self._runner.addresses[0][1]
        self._following = asyncio.create_task(self._record.stalls.follow(), name="answerer-stalls")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
        if self._check_on_exit and error is None:
            self.check()

    @property
    def scenario(self) -> Scenario:
        """What the agent and the client do in the calls to come; may be replaced between calls.

        Raises:
            AudioFileUnreadable: When it is replaced, if a clip in it cannot be read.
        """
        return self._scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self._voices.warm_up(scenario)
        self._scenario = scenario
        self._open()

    def scenario_reports(self) -> list[ScenarioReport]:
        """Return what has come of the scenario in each call; of calls that are forgotten only the failures."""
        return [*self._forgotten_failures, *(call.scenario_report for call in self.calls)]

    def check(self) -> None:
        """Return if the scenario was met in every call so far, and there was one.

        Raises:
            ScenarioFailed: If not; the text is a report of each call in which it was not.
        """
        failed = [report for report in self.scenario_reports() if not report.is_met]
        if failed:
            raise ScenarioFailed(failed)
        is_idle = not self.calls and not self._n_forgotten
        if is_idle and self._scenario.must_finish and self._scenario.steps:
            name = f" {self._scenario.name!r}" if self._scenario.name else ""
            raise ScenarioFailed([], f"scenario{name}: nobody has placed a call ({len(self.requests)} requests came)")

    @property
    def script(self) -> AgentScript:
        """The script of the calls to come; may be replaced between calls. It stands in for a `scenario`.

        Raises:
            AudioFileUnreadable: When it is replaced, if a clip in it cannot be read.
        """
        return self._script

    @script.setter
    def script(self, script: AgentScript) -> None:
        self.scenario = scenario_of(script)
        self._script = script

    @property
    def base_url(self) -> str:
        """Base of the API shape: offers go to `<base_url>/realtime/calls`, sidebands to `<base_url>/realtime`."""
        return f"http://{self._authority}{API_PREFIX}"

    @property
    def backend_url(self) -> str:
        """Base of the backend shape: offers go to `<backend_url>/realtime/calls`, as JSON."""
        return f"http://{self._authority}{BACKEND_PREFIX}"

    @property
    def requests(self) -> list[SeenRequest]:
        """Every HTTP request but the handshakes, in order."""
        return self._record.requests

    @property
    def handshakes(self) -> list[SeenRequest]:
        """Every request to join a sideband, in order, whatever became of it."""
        return self._record.handshakes

    @property
    def client_secrets(self) -> list[MintedKey]:
        """Every ephemeral key that was minted, in order, as far as they are kept."""
        return self._keys.minted

    def ring(self) -> SipCall:
        """Return a SIP call that has just come in: `POST …/calls/<id>/accept` and the others say what becomes of it."""
        call = SipCall(self._new_call_id())
        self.sip_calls.append(call)
        del self.sip_calls[:-MAX_CALLS_KEPT]
        return call

    def revoke_key(self, key: str) -> None:
        """Answer every request that comes with this key, from now on, with 401."""
        self._keys.revoke(key)

    @property
    def violations(self) -> list[Violation]:
        """Everything the clients did against the protocol, in order."""
        return self._record.violations

    @property
    def wire(self) -> list[WireEntry]:
        """Everything that went over the wire, in order, as far as it is kept; without keys."""
        return self._record.wire.since(0)

    @property
    def page_url(self) -> str:
        """Where people see the calls in progress."""
        return f"http://{self._authority}/"

    async def report(self) -> JsonObject:
        """Return what `GET /_report` tells: calls, wire traffic, violations; without keys."""
        return await report(self.calls, self._record)

    async def wait_for_call(self, timeout_s: float = 5.0, *, n: int = 1) -> AnsweredCall:
        """Return the `n`-th call ever (from 1) once it is answered.

        Raises:
            TimeoutError: If there are fewer calls after `timeout_s`.
        """

        def find() -> AnsweredCall | None:
            index = n - 1 - self._n_forgotten
            return self.calls[index] if 0 <= index < len(self.calls) else None

        return await self._record.bell.until(find, timeout_s=timeout_s, what=lambda: f"call {n}")

    async def wait_for_request(self, timeout_s: float = 5.0, *, n: int = 1) -> SeenRequest:
        """Return the `n`-th request (from 1), whatever becomes of it.

        Raises:
            TimeoutError: If there are fewer requests after `timeout_s`.
        """

        def find() -> SeenRequest | None:
            return self.requests[n - 1] if len(self.requests) >= n else None

        return await self._record.bell.until(find, timeout_s=timeout_s, what=lambda: f"request {n}")

    async def aclose(self) -> None:
        """End all calls and stop listening, within 3 s. Safe to call twice, and safe to cancel while waiting."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="answerer-close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._runner is None or self._desk is None:
            return
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        if self._listening is not None:
            await asyncio.wait({self._listening})
        for site in self._runner.sites:
            await site.stop()
        self._desk.release()
        await self._end_calls()
        await self._runner.cleanup()
        # A POST that was being answered meanwhile has made one more.
        await self._end_calls()

    async def _end_calls(self) -> None:
        await asyncio.gather(*(call.begin_end(CallEnd.ANSWERER_CLOSED) for call in self.calls))

    async def _answer(self, offer: PostedOffer | None, post: SeenRequest) -> AnsweredCall:
        faults, opening = self._opening
        self._open()  # for the call after this one
        call_id = self._new_call_id()
        call = AnsweredCall(
            call_id,
            offer,
            post,
            scenario=self._scenario,
            faults=(self.faults, faults),
            opening=opening,
            voices=self._voices,
            clock=self._clock,
            record=self._record,
            interfaces=self._interfaces,
            network=_both_ways(self.relay),
            tape=None if self._cassette is None else Tape(self._cassette, call_id, post.header("x-session-id") or ""),
        )
        try:
            await call.answer()
        except BaseException:
            await asyncio.shield(call.begin_end(CallEnd.ANSWERER_CLOSED))
            raise
        self.calls.append(call)
        over = next((other for other in self.calls if other.ended_by is not None), None)
        if len(self.calls) > MAX_CALLS_KEPT and over is not None:
            self.calls.remove(over)
            if not over.scenario_report.is_met and len(self._forgotten_failures) < MAX_CALLS_KEPT:
                self._forgotten_failures.append(over.scenario_report)
            self._n_forgotten += 1
        self._record.bell.ring()
        return call

    def _open(self) -> None:
        """Begin the faults that the next call begins with."""
        faults = Faults()
        self._opening = faults, [begin_fault(faults, step.name, step.options) for step in self._scenario.opening_faults]

    def _listen(self, is_open: bool) -> asyncio.Task[None]:
        before = self._listening

        async def change() -> None:
            if before is not None:
                await asyncio.wait({before})
            if self._site is None or self._runner is None or self._closing is not None:
                return
            if is_open:
                self._site = web.TCPSite(self._runner, self._host, self.port)
                await self._site.start()
            else:
                await self._site.stop()

        self._listening = asyncio.create_task(change(), name="answerer-listen")
        return self._listening

    @property
    def _authority(self) -> str:
        address = LOOPBACK if self._host in ("0.0.0.0", "") else self._host  # noqa: S104 - compared, not bound
        try:
            is_ipv6 = ipaddress.ip_address(address).version == 6
        except ValueError:
            is_ipv6 = False
        return f"[{address}]:{self.port}" if is_ipv6 else f"{address}:{self.port}"
