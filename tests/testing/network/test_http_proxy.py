"""Promises of the relay on its own: any client gets a bad network to any answerer, and nothing else is changed.

In real time: `test_our_client_calls_through_it_and_breaks_no_rule`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from rtc_client import CallConfig, CallLost, Deadlines, EndReason, ToneSource, connect
from rtc_client.testing import CallEnd, FakeAnswerer, Impairment, Network
from rtc_client.testing.network.http_proxy import RelayProxy
from rtc_client.testing.wire.sdp_text import media_sections, udp_address, with_only_candidate
from tests.testing.caller import NO_SAMPLES, SESSION, Caller, compact, form, joined, post, until

CLEAR = Network()


@asynccontextmanager
async def relayed(network: Network = CLEAR, **options: object) -> AsyncIterator[tuple[FakeAnswerer, RelayProxy]]:
    """An answerer with a relay before it."""
    async with (
        FakeAnswerer(**options) as answerer,  # type: ignore[arg-type]
        RelayProxy(answerer.base_url, network) as proxy,
    ):
        yield answerer, proxy


@pytest.mark.both_clocks
async def test_our_client_calls_through_it_and_breaks_no_rule() -> None:
    """Both legs come up, media passes the relay alone, and the answerer sees the client's own requests."""
    async with relayed() as (answerer, proxy):
        async with connect(
            CallConfig(api_key="sk-relay-test", base_url=proxy.base_url), source=ToneSource(500)
        ) as call:
            answered = await answerer.wait_for_call()
            await answered.sideband_joined()
            await call.say("Hello")
            await answered.wait_received(2)
            await answered.wait_heard(0.3)
        await answered.ended()
        await answerer.wait_for_request(n=2)
        (seen,) = proxy.calls

    assert answerer.violations == []
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP
    assert seen.call_id == answered.call_id
    assert seen.relay.to_agent.counters.rtp_packets >= answered.packets_received > 10
    assert seen.relay.to_caller.counters.rtp_packets > 10
    assert dict(answerer.requests[0].headers)["authorization"] == "Bearer sk-relay-test"
    assert [request.path.rpartition("/")[2] for request in answerer.requests] == ["calls", "hangup"]


async def test_the_body_arrives_as_it_was_sent_but_for_the_ports() -> None:
    """Form and JSON: offers are changed in their candidates' ports alone, answers in their candidates alone."""
    caller = Caller(NO_SAMPLES)
    try:
        offer = await caller.offer()
        async with relayed() as (answerer, proxy):
            body, content_type = form(offer)
            responses = [await post(proxy.base_url, body, content_type)]
            backend = proxy.base_url.replace("/v1", "/backend-api/codex")
            both = compact({"sdp": offer, "session": SESSION}).encode()
            responses.append(await post(backend, both, "application/json"))
            got = [request.body for request in answerer.requests]
            asked = [answerer.calls[n].offer_sdp for n in (0, 1)]

        ports = {line.split(" ")[5] for line in offer.splitlines() if line.startswith("a=candidate")}
        (port,) = {port for port in ports if f" {port} typ" in offer}
        dead = f" {port} typ", " 9 typ"
        assert got == [
            body.replace(dead[0].encode(), dead[1].encode()),
            both.replace(dead[0].encode(), dead[1].encode()),
        ]
        assert asked == [offer.replace(*dead)] * 2
        assert answerer.violations == []
        for n, response in enumerate(responses):
            assert (response.status_code, response.headers["content-type"]) == (201, "application/sdp")
            candidates = [line for line in response.text.splitlines() if line.startswith("a=candidate")]
            front = proxy.calls[n].relay._front
            assert [line.split(" ")[4] for line in candidates] == ["127.0.0.1"]
            assert front.fileno() == -1  # closed with the proxy
            rest = [line for line in response.text.splitlines() if not line.startswith(("a=candidate", "m=", "c="))]
            original = answerer.calls[n].answer_sdp.splitlines()
            assert rest == [line for line in original if not line.startswith(("a=candidate", "m=", "c="))]
    finally:
        await caller.close()


async def test_an_independent_caller_loses_what_was_asked_for() -> None:
    """Plain aiortc connects through it too, and about so many of its packets are lost."""
    caller = Caller(NO_SAMPLES)
    network = Network(to_agent=Impairment(loss_ratio=0.4), seed=3)
    try:
        async with relayed(network) as (answerer, proxy):
            response = await post(proxy.base_url, *form(await caller.offer()))
            await caller.accept(response.text)
            await caller.connected()
            counters = proxy.calls[0].relay.to_agent.counters
            await until(lambda: counters.rtp_packets >= 60)
            told = proxy.report()
            assert 0.2 < counters.rtp_lost / counters.rtp_packets < 0.6
            assert answerer.calls[0].packets_received <= counters.rtp_packets - counters.rtp_lost
    finally:
        await caller.close()

    assert json.loads(json.dumps(told))["network"]["to_agent"]["loss_ratio"] == 0.4


async def test_a_blackout_ends_a_call_that_does_not_bear_it() -> None:
    """`POST /_blackout` cuts open calls at once: not a datagram passes, in either direction."""
    async with relayed() as (answerer, proxy), httpx.AsyncClient(trust_env=False, verify=False) as program:
        config = CallConfig(api_key="sk-relay-test", base_url=proxy.base_url, sideband="off")
        async with connect(config, source=ToneSource(500)):
            answered = await answerer.wait_for_call()
            await answered.wait_heard(0.2)
            url = f"http://127.0.0.1:{proxy.port}/_blackout"
            assert (await program.post(url, json={"for_s": 60})).json() == {"calls": 1}
            counters = proxy.calls[0].relay.to_agent.counters
            n_heard = answered.packets_received
            await until(lambda: counters.blacked_out >= 15)
            # What was under way when it was cut may still have come.
            assert answered.packets_received - n_heard <= 2
            refused = [await program.post(url, json=wrong) for wrong in ({}, {"for_s": -1}, {"for_s": "x"})]

    assert [answer.status_code for answer in refused] == [400] * 3


async def test_the_sideband_ends_as_each_side_ends_it() -> None:
    """Close codes pass in both directions, a dropped connection stays one, a refusal keeps its status."""
    caller = Caller(NO_SAMPLES)
    try:
        async with relayed() as (answerer, proxy):
            answerer.port, port = proxy.port, answerer.port  # `joined` goes by the port
            response = await post(proxy.base_url, *form(await caller.offer()))
            call_id = response.headers["location"].rpartition("/")[2]
            answered = await answerer.wait_for_call()

            async with joined(answerer, call_id) as sideband:
                await answered.sideband_joined()
                await answered.wait_received(1)
                assert json.loads(await sideband.recv())["type"] == "session.updated"
                await answered.send_frame(b"binary")
                assert await sideband.recv() == b"binary"
                await answered.close_sideband(4001, "because")
                with pytest.raises(ConnectionClosedError) as closed:
                    await sideband.recv()
                assert (closed.value.rcvd and (closed.value.rcvd.code, closed.value.rcvd.reason)) == (4001, "because")

            async with joined(answerer, call_id) as sideband:
                await answered.sideband_joined(times=2)
                answered.drop_sideband()
                with pytest.raises(ConnectionClosedError) as closed:
                    while True:
                        await sideband.recv()
                assert closed.value.rcvd is None

            answerer.faults.refuse_sideband(429)
            with pytest.raises(InvalidStatus) as refused:
                async with joined(answerer, call_id):
                    pass
            assert refused.value.response.status_code == 429

            async with joined(answerer, call_id) as sideband:
                await answered.sideband_joined(times=3)
                await sideband.close(4002, "mine")
                with pytest.raises((ConnectionClosedOK, ConnectionClosedError)):
                    while True:
                        await sideband.recv()
            await until(lambda: answered.sideband_close_code == 4002)

            async with joined(answerer, call_id) as sideband:
                await answered.sideband_joined(times=4)
                sideband.transport.abort()
                assert await answered.ended() is CallEnd.CLIENT_SIDEBAND
            assert answered.sideband_close_code is None
            answerer.port = port
    finally:
        await caller.close()


async def test_what_nothing_can_stand_in_between_of_is_told() -> None:
    """An answer without an address, and an answerer that is not there, are 502 with a reason."""
    caller = Caller(NO_SAMPLES)
    try:
        offer = form(await caller.offer())
        async with relayed() as (answerer, proxy):
            answerer.faults.answer_without_candidates()
            unusable = await post(proxy.base_url, *offer)
            answerer.faults.refuse_post(503, body="busy")
            refused = await post(proxy.base_url, *offer)
            answerer.faults.redirect_post("/elsewhere")
            redirected = await post(proxy.base_url, *offer)
            await answerer.aclose()
            unreachable = await post(proxy.base_url, *offer)
            assert not proxy.calls
    finally:
        await caller.close()

    assert (unusable.status_code, "no UDP candidate" in unusable.text) == (502, True)
    assert (refused.status_code, refused.text) == (503, "busy")
    assert (redirected.status_code, redirected.headers["location"]) == (302, "/elsewhere")
    assert (unreachable.status_code, "cannot reach" in unreachable.text) == (502, True)


async def test_its_control_routes_refuse_other_sites() -> None:
    """Another web site can neither read its figures nor end it."""
    async with relayed() as (answerer, proxy), httpx.AsyncClient(trust_env=False, verify=False) as site:
        base, origin = f"http://127.0.0.1:{proxy.port}", {"Origin": "https://elsewhere.example"}
        answers = [
            await site.get(f"{base}/_report", headers=origin),
            await site.post(f"{base}/_shutdown", headers=origin),
            await site.post(f"{base}/_blackout", headers=origin, json={"for_s": 9}),
        ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert not proxy.shutdown_asked.is_set()
    assert answerer.requests == []


async def test_a_lost_call_through_it_is_lost() -> None:
    """A client meets a network that stops for good after the first media as a lost call."""
    forever = Impairment(blackouts=((0.2, 3600.0),))
    async with relayed(Network(to_agent=forever, to_caller=forever)) as (_, proxy):
        config = CallConfig(
            api_key="sk-relay-test", base_url=proxy.base_url, sideband="off", deadlines=Deadlines(silence_s=1.0)
        )
        with pytest.raises(CallLost):
            async with connect(config, source=ToneSource(500)) as call:
                await call.wait_ended()


ANSWER = (
    "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 192.0.2.1\r\n"
    "a=candidate:1 1 udp 100 192.0.2.1 4000 typ host\r\na=candidate:2 1 udp 200 192.0.2.2 4001 typ srflx\r\n"
    "a=candidate:3 1 UDP 300 127.0.0.1 4002 typ host\r\na=candidate:4 1 tcp 900 192.0.2.3 9 typ host\r\n"
    "a=candidate:5 1 udp 800 2001:db8::1 4003 typ host\r\na=candidate:6 1 udp 900 abc.local 4004 typ host\r\n"
    "a=end-of-candidates\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
)


def test_an_answerer_is_met_where_it_says() -> None:
    """On this machine by loopback; elsewhere by the best IPv4 address, and by IPv6 if there is no other."""
    assert udp_address(ANSWER, is_here=True) == ("127.0.0.1", 4002)
    assert udp_address(ANSWER, is_here=False) == ("192.0.2.2", 4001)
    only_v6 = "".join(line for line in ANSWER.splitlines(True) if "candidate" not in line or "2001" in line)
    assert udp_address(only_v6, is_here=False) == ("2001:db8::1", 4003)
    with pytest.raises(ValueError, match="not bundled"):
        udp_address(ANSWER.replace("BUNDLE", "LS"), is_here=True)


def test_no_way_leads_around_the_relay() -> None:
    """Whatever candidates there were, one is left, which is the default destination as well."""
    answer = with_only_candidate(ANSWER, "127.0.0.1", 5000)

    assert [line for line in answer.splitlines() if line.startswith("a=candidate")] == [
        "a=candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host"
    ]
    audio, data = media_sections(answer)
    assert (audio.lines[0], audio.lines[1]) == ("m=audio 5000 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 127.0.0.1")
    assert data.lines == ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0")
    assert "192.0.2" not in answer


@pytest.mark.parametrize("to", ["ftp://127.0.0.1/v1", "127.0.0.1:80", "http://", "http://127.0.0.1/v1?x=1"])
def test_a_base_that_is_none_is_refused(to: str) -> None:
    """What is no http(s) base is refused with a reason."""
    with pytest.raises(ValueError, match="no base of an answerer"):
        RelayProxy(to, CLEAR)
