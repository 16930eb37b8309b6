"""Promise: a call goes on, whatever comes under the names of known events, with tools, a handler and readers."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable

import pytest

from rtc_client import CallState, ErrorEvent, McpTool, OfferedTool, TypedTool, connect
from rtc_client.protocol.wire.codec import parse_event
from rtc_client.protocol.wire.events import fatal_reason
from tests.behaviour.calls import until
from tests.protocol.mutants import mutant
from tests.wire.websocket_server import config_of, serving

N_EVENTS = 1_500


async def opening_hours(day: str = "sunday") -> str:
    """Tell when the museum opens."""
    return day


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_events_that_are_nearly_right_end_no_call(version: str) -> None:
    """Only an error that is fatal by its code would, and is left out; readers read on, and the result can be told."""
    rng = random.Random(version)
    servers = [McpTool(server_label="deepwiki", server_url="https://mcp.example")] if version == "v2" else []
    events = [mutant(rng) for _ in range(N_EVENTS)]
    texts = [json.dumps(event) for event in events if not _is_fatal(event)]

    async def read(stream: Callable[[], AsyncIterator[object]]) -> int:
        return len([one async for one in stream()])

    async with serving() as server:
        tools: list[OfferedTool] = [TypedTool(opening_hours), *servers]
        async with connect(config_of(server, version=version), handoff=str, tools=tools) as call:
            await server.said()
            reading = [
                asyncio.create_task(read(one)) for one in (call.events, call.audio_chunks, call.transcript_chunks)
            ]
            await server.send(*texts)
            await until(lambda: sum(call.result.events.values()) == len(texts))
            assert call.state is CallState.ACTIVE
        n_events, *_ = await asyncio.gather(*reading)

    assert n_events > len(texts)
    assert call.result.error is None
    assert json.loads(json.dumps(call.result.as_dict()))["events"]["unknown"] > 0
    assert call.result.as_text()


def _is_fatal(event: dict[str, object]) -> bool:
    parsed = parse_event(json.dumps(event))
    return isinstance(parsed, ErrorEvent) and fatal_reason(parsed) is not None
