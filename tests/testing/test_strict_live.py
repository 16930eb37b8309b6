"""Promises of a running answerer about what it reports: each breach on the wire; if lenient, only what it refused.

In real time: `tests/testing/calls/test_sideband.py::test_a_client_that_does_not_read_holds_up_nobody`.
"""

from __future__ import annotations

import asyncio

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Violation
from rtc_client.testing.rules.requests import FIRST_FRAME_LIMIT_S, LATE_FIRST_FRAME, NOTHING_THERE, UNKNOWN_CALL
from tests.testing.caller import IDENTITY, NO_SAMPLES, SESSION, Caller, compact, form, joined, post
from tests.testing.conftest import Place
from tests.testing.placed import placed_call
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING


def found(answerer: FakeAnswerer) -> list[tuple[str, str]]:
    return [(violation.section, violation.message) for violation in answerer.violations]


async def test_a_hang_up_is_judged(answerer: FakeAnswerer) -> None:
    """In order it is none; without a key it is one, and a second one is another."""
    call_id = await placed_call(answerer)
    url = f"{answerer.base_url}/realtime/calls/{call_id}/hangup"
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        assert (await client.post(url, headers=IDENTITY)).status_code == 200
        assert answerer.violations == []

        await client.post(url, headers=IDENTITY | {"authorization": "Bearer other"})

    assert found(answerer) == [
        ("1.1", "the header authorization must be the same as on the POST"),
        ("1", "a call is hung up once"),
    ]
    assert {violation.call_id for violation in answerer.violations} == {call_id}


async def test_what_nobody_was_told_of_is_a_violation(answerer: FakeAnswerer) -> None:
    """A path, a method, and a call id for either kind of request."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        statuses = [
            (await client.post(f"{answerer.base_url}/realtime/call")).status_code,
            (await client.get(f"{answerer.base_url}/realtime/calls")).status_code,
            (await client.post(f"{answerer.base_url}/realtime/calls/rtc_none/hangup")).status_code,
            (await client.post(f"{answerer.base_url}/responses")).status_code,
        ]

    assert statuses == [404] * 4
    assert answerer.violations == [NOTHING_THERE, NOTHING_THERE, UNKNOWN_CALL]


async def test_a_call_id_that_a_fault_has_told_is_no_violation(answerer: FakeAnswerer) -> None:
    """The client believed what it was told; it is refused all the same."""
    answerer.faults.change_location("/v1/realtime/calls/rtc_elsewhere")
    await placed_call(answerer)

    with pytest.raises(InvalidStatus):
        async with joined(answerer, "rtc_elsewhere"):
            pass
    assert answerer.violations == []


async def test_a_body_that_is_no_offer_is_a_violation(answerer: FakeAnswerer) -> None:
    """It says what the answer says."""
    body, content_type = form("no SDP")
    response = await post(answerer.base_url, b"\xff" + body, content_type)
    assert response.json()["error"]["message"] == "the body is not framed by its boundary"
    await post(answerer.backend_url, b"\xff", "application/json")

    assert found(answerer) == [("1.1", "the body is not framed by its boundary"), ("1.2", "the body is not UTF-8")]


async def test_the_same_offer_twice_is_a_violation(answerer: FakeAnswerer) -> None:
    """Two calls come of it."""
    await placed_call(answerer)
    await placed_call(answerer)

    assert found(answerer) == [("3", "an offer that was answered must not be repeated")]


async def test_a_try_too_early_is_a_violation(answerer: FakeAnswerer) -> None:
    """On both legs."""
    answerer.faults.refuse_post(503)
    answerer.faults.refuse_sideband(404)
    assert (await post(answerer.base_url, *form(SDP_OF_A_RECORDING))).status_code == 503
    call_id = await placed_call(answerer)
    with pytest.raises(InvalidStatus):
        async with joined(answerer, call_id):
            pass
    async with joined(answerer, call_id):
        pass

    assert [violation.section for violation in answerer.violations] == ["3", "4"]


@pytest.mark.parametrize("is_sent", [True, False])
async def test_a_late_first_frame_is_a_violation(is_sent: bool) -> None:
    """And so is none at all."""
    async with FakeAnswerer() as answerer:
        call_id = await placed_call(answerer)
        async with connect(
            f"ws://127.0.0.1:{answerer.port}/v1/realtime?intent=quicksilver&call_id={call_id}",
            additional_headers={name: value for name, value in IDENTITY.items() if name != "user-agent"},
            user_agent_header=IDENTITY["user-agent"],
            compression=None,
            proxy=None,
        ) as sideband:
            await answerer.calls[0].sideband_joined()
            await asyncio.sleep(FIRST_FRAME_LIMIT_S + 1)
            if is_sent:
                update = {"type": "session.update", "session": {k: v for k, v in SESSION.items() if k != "model"}}
                await sideband.send(compact(update))
                await sideband.recv()
        await answerer.calls[0].ended()

    assert found(answerer) == [(LATE_FIRST_FRAME.section, LATE_FIRST_FRAME.message)]


async def test_a_client_that_leaves_without_a_code_is_a_violation(answerer: FakeAnswerer) -> None:
    """A close frame says 1000."""
    async with joined(answerer, await placed_call(answerer)) as sideband:
        await sideband.recv()
        await sideband.close(1001)
    await answerer.calls[0].ended()

    assert [violation.section for violation in answerer.violations] == ["11"]


async def test_output_for_a_handoff_that_was_requested_is_no_violation(answerer: FakeAnswerer) -> None:
    """As an event or as a raw frame; for another it is one."""
    call_id = await placed_call(answerer)
    request: dict[str, object] = {"type": "conversation.handoff.requested", "item_id": "i", "input_transcript": ""}
    async with joined(answerer, call_id) as sideband:
        await sideband.recv()
        await answerer.calls[0].send_event(request | {"handoff_id": "h1"})
        await answerer.calls[0].send_frame(compact(request | {"handoff_id": "h2"}))
        for handoff_id in ("h1", "h2", "codex", "h3"):
            output = {"type": "conversation.handoff.append", "handoff_id": handoff_id, "output_text": "done"}
            await sideband.send(compact(output))
        await answerer.calls[0].wait_received(5)

    assert [violation.section for violation in answerer.violations] == ["9"]


# Lenient: other dialects.


async def test_a_lenient_answerer_takes_a_bare_offer_and_a_sideband_without_introduction() -> None:
    """No session, no intent, no identity, no session.update: there is a call, and the agent's words arrive."""
    script = AgentScript(turns=[SpokenTurn(text="good day")])
    async with (
        FakeAnswerer(script=script, lenient=True) as answerer,
        httpx.AsyncClient(trust_env=False, verify=False) as client,
    ):
        caller = Caller(NO_SAMPLES)
        offer = await caller.offer()
        url = f"{answerer.base_url}/realtime/calls"
        response = await client.post(url, content=offer, headers={"content-type": "application/sdp"})
        await caller.accept(response.text)
        call = await answerer.wait_for_call()
        async with connect(
            f"ws://127.0.0.1:{answerer.port}/v1/realtime?call_id={call.call_id}", proxy=None
        ) as sideband:
            async with asyncio.timeout(5):
                first = str(await sideband.recv())
            await sideband.send('{"type":"response.create"}')
            await call.wait_received(1)
        await caller.close()

        assert '"conversation.output_transcript.delta"' in first
        assert call.session == {}
        assert answerer.violations == []


async def test_a_lenient_answerer_knows_the_paths_of_a_later_dialect(place: Place) -> None:
    """`POST /v1/live` and `GET /v1/live/<call id>`; a strict one does not."""
    body, content_type = form(SDP_OF_A_RECORDING, {"instructions": ""})
    async with FakeAnswerer(lenient=True) as lenient, httpx.AsyncClient(trust_env=False, verify=False) as client:
        response = await client.post(f"{lenient.base_url}/live", content=body, headers={"content-type": content_type})
        call_id = response.headers["location"].rpartition("/")[2]
        async with connect(f"ws://127.0.0.1:{lenient.port}/v1/live/{call_id}", proxy=None):
            await lenient.calls[0].sideband_joined()
        assert lenient.violations == []
    async with FakeAnswerer() as strict, httpx.AsyncClient(trust_env=False, verify=False) as client:
        assert (await client.post(f"{strict.base_url}/live")).status_code == 404


async def test_a_lenient_answerer_refuses_and_reports_what_no_call_can_come_of() -> None:
    """No SDP, no audio, an unknown call, an unknown path."""
    async with FakeAnswerer(lenient=True) as answerer, httpx.AsyncClient(trust_env=False, verify=False) as client:
        statuses = [
            (await post(answerer.base_url, b"hello", "text/plain")).status_code,
            (await post(answerer.base_url, *form("v=0\r\n"))).status_code,
            (await client.post(f"{answerer.base_url}/realtime/calls/rtc_none/hangup")).status_code,
            (await client.post(f"{answerer.base_url}/realtime/other")).status_code,
        ]

    assert statuses == [400, 400, 404, 404]
    assert found(answerer) == [
        ("1.1", "the content type is neither multipart/form-data nor application/json"),
        ("1.1", "the offer holds no audio m-line"),
        ("1.4", UNKNOWN_CALL.message),
        ("1.3", NOTHING_THERE.message),
    ]


def test_an_answerer_is_not_lenient_and_refusing_at_once() -> None:
    """The two exclude each other."""
    with pytest.raises(ValueError, match="either lenient"):
        FakeAnswerer(lenient=True, strict_refuse=True)


def test_a_violation_says_its_section() -> None:
    """And what is demanded, and nothing of what was sent."""
    assert repr(Violation("1.5", "no subprotocol may be asked for")).startswith("Violation(section='1.5'")
