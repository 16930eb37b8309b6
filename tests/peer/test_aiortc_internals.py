"""Promises about what we rely on inside aiortc and aioice: it is there, it is used, and its loss is told by name.

In real time: `test_every_wrapper_is_met_by_a_call`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aioice.ice import Connection, StunProtocol
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtcrtpreceiver import RTCRtpReceiver

from rtc_client import MediaError
from rtc_client.peer import aiortc_internals
from rtc_client.peer.aiortc_internals import AiortcMismatch, check_seams
from tests.peer.support import LOOPBACK, Told, a_pair, a_peer, candidates, config

METHODS: list[tuple[type, str]] = [
    (RTCPeerConnection, "_RTCPeerConnection__connect"),
    (RTCCertificate, "_create_ssl_context"),
    (RTCDtlsTransport, "_handle_rtcp_data"),
    (RTCDtlsTransport, "_handle_rtp_data"),
    (RTCRtpReceiver, "_handle_rtp_packet"),
    (RTCRtpReceiver, "_handle_rtcp_packet"),
    (Connection, "query_consent"),
    (Connection, "get_component_candidates"),
    (Connection, "data_received"),
    (StunProtocol, "datagram_received"),
    (StunProtocol, "send_stun"),
]
ATTRIBUTES = ["_check_list", "_nominated", "_protocols", "_queue", "_closing", "_query_consent_task"]


async def _fresh() -> tuple[RTCPeerConnection, RTCRtpReceiver]:
    pc = RTCPeerConnection()
    return pc, pc.addTransceiver("audio").receiver


async def test_the_pinned_versions_have_every_seam() -> None:
    """A fresh peer connection of the installed aiortc passes the check."""
    pc, receiver = await _fresh()

    check_seams(pc, receiver)

    await pc.close()


@pytest.mark.parametrize(("owner", "name"), METHODS, ids=[name for _, name in METHODS])
async def test_a_method_that_has_moved_is_named(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a method is gone, the check says which, and which versions are installed."""
    pc, receiver = await _fresh()
    method = getattr(owner, name)
    monkeypatch.setattr(owner, f"{name}_renamed", method, raising=False)
    monkeypatch.delattr(owner, name)

    with pytest.raises(AiortcMismatch, match=rf"aiortc 1\.\S+ with aioice \S+ has no {name} any more"):
        check_seams(pc, receiver)

    monkeypatch.undo()
    await pc.close()


@pytest.mark.parametrize("name", ATTRIBUTES)
async def test_an_attribute_that_has_moved_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an attribute is gone, the check says which."""
    pc, receiver = await _fresh()
    monkeypatch.delattr(receiver.transport.transport._connection, name)

    with pytest.raises(AiortcMismatch, match=f"has no {name} any more"):
        check_seams(pc, receiver)

    monkeypatch.undo()
    await pc.close()


async def test_an_ice_transport_without_its_agent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When aiortc no longer stands on aioice's agent, that is said."""
    pc, receiver = await _fresh()
    monkeypatch.delattr(receiver.transport.transport, "_connection")

    with pytest.raises(AiortcMismatch, match="no aioice connection"):
        check_seams(pc, receiver)

    monkeypatch.undo()
    await pc.close()


async def test_a_peer_is_not_made_when_a_seam_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is made before anything of a call exists."""
    monkeypatch.delattr(Connection, "query_consent")

    with pytest.raises(AiortcMismatch):
        a_peer()


@pytest.mark.both_clocks
async def test_every_wrapper_is_met_by_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc and aioice really pass through each function that we put in the place of theirs."""
    met: set[str] = set()

    def note(owner: Any, name: str) -> None:
        wrapped: Callable[..., Any] = getattr(owner, name)

        def noting(*args: Any, **named: Any) -> Any:
            met.add(name)
            return wrapped(*args, **named)

        monkeypatch.setattr(owner, name, noting)

    async with a_pair(path="plain") as pair:
        near = pair.near
        for owner, names in (
            (near._connection, ("get_component_candidates", "query_consent")),
            (near._dtls, ("_handle_rtp_data", "_handle_rtcp_data")),
            (near._receiver, ("_handle_rtp_packet", "_handle_rtcp_packet")),
            (near._pc, ("_RTCPeerConnection__connect",)),
        ):
            for name in names:
                note(owner, name)
        offer = await near.create_offer()
        for protocol in near._connection._protocols:
            note(protocol, "datagram_received")
            note(protocol, "send_stun")
        await near.apply_answer(await pair.far.peer.answer(offer))
        await near.connected()
        await pair.told.bell.until(
            lambda: (pair.told.heard > 5 and len(met) == 9) or None, timeout_s=5, what=lambda: f"all seams, not {met}"
        )

        protocol = near._connection._protocols[0]
        StunProtocol.datagram_received(protocol, b"\x80" * 20, (LOOPBACK, 9))  # past the guard
        counters = await near.counters()

    assert counters.dropped == {"malformed_stun": 1}
    assert counters.packets_received > 0
    assert counters.bytes_received > 0


async def test_an_exception_in_the_connect_task_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What aiortc would lose in a task that nobody awaits comes out of `connected`, as the cause."""
    async with a_pair() as pair:

        async def fail(*_: Any) -> None:
            raise AssertionError

        monkeypatch.setattr(pair.near._dtls, "start", fail)
        await pair.begin()

        with pytest.raises(MediaError) as failed:
            await pair.near.connected()

        assert isinstance(failed.value.__cause__, AssertionError)


async def test_consent_is_not_asked_for_by_an_agent_that_was_closed() -> None:
    """The consent task that aioice starts at the end of `connect()` ends at once when the agent is closing."""
    peer = a_peer()
    await peer.create_offer()
    connection = peer._connection
    connection.remote_password = "x" * 22
    await peer.aclose()

    await asyncio.wait_for(connection.query_consent(), 1)


@pytest.mark.parametrize("base_url", [f"http://{LOOPBACK}:1/v1", "http://localhost:1/v1", "https://agent.example/v1"])
async def test_loopback_is_offered_for_a_call_within_this_machine_only(base_url: str) -> None:
    """127.0.0.1 is a candidate when the answerer is on loopback, and never leaves the machine otherwise."""
    from dataclasses import replace

    from rtc_client.clock import MonotonicClock
    from rtc_client.peer.peer import Peer

    peer = Peer(replace(config(), base_url=base_url), Told().listener(), clock=MonotonicClock())
    try:
        hosts = [host for host, _ in candidates(await peer.create_offer())]
    finally:
        await peer.aclose()

    assert (LOOPBACK in hosts) == ("example" not in base_url)


async def test_decoded_seams_are_the_only_private_names() -> None:
    """Nothing else of the peer's room names a private attribute of aiortc or aioice."""
    import ast
    from pathlib import Path

    room = Path(aiortc_internals.__file__).parent
    for path in sorted(room.glob("*.py")):
        if path.name == "aiortc_internals.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                assert isinstance(node.value, ast.Name), f"{path.name}:{node.lineno} {node.attr}"
                assert node.value.id in ("self", "aiortc_internals"), f"{path.name}:{node.lineno} {node.attr}"
