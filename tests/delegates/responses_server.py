"""A Responses API on loopback, for the official SDK: it streams what a test scripts, in the documented shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Event = Mapping[str, Any]


def message(text: str, *, phase: str | None = None) -> Event:
    """An assistant's message."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    return item | ({"phase": phase} if phase else {})


def call(name: str, arguments: str, call_id: str = "call_1") -> Event:
    """A call of a function."""
    return {
        "type": "function_call", "id": "fc_1", "call_id": call_id, "name": name, "arguments": arguments,
        "status": "completed",
    }  # fmt: skip


class ResponsesServer:
    """Answers the n-th request with the n-th of `answers`: items, an HTTP status, or the type of a last event."""

    def __init__(self, *answers: Sequence[Event | str] | int) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str] = []
        self.base_url = ""
        self.gates: dict[int, asyncio.Event] = {}
        """The answer of that number, from 0, streams its first items and then waits for this."""
        self.disconnected = asyncio.Event()

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one POST /responses."""
        n = len(self.requests)
        self.requests.append(await http.json())
        self.authorizations.append(http.headers.get("authorization", ""))
        answer = self.answers[n]
        if isinstance(answer, int):
            error = {"message": "no, sk-secret", "type": "invalid_request_error", "param": None, "code": "nope"}
            return web.json_response({"error": error}, status=answer)
        stream = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await stream.prepare(http)
        try:
            await self._stream(stream, n, answer)
        except (ConnectionError, asyncio.CancelledError):
            self.disconnected.set()
            raise
        return stream

    async def _stream(self, stream: web.StreamResponse, n: int, answer: Sequence[Event | str]) -> None:
        number = 0

        async def send(kind: str, **fields: Any) -> None:
            nonlocal number
            event = {"type": kind, "sequence_number": number, **fields}
            number += 1
            await stream.write(f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode())

        items = [item for item in answer if not isinstance(item, str)]
        end = next((item for item in answer if isinstance(item, str)), "response.completed")
        await send("response.created", response=_response(n, "in_progress", []))
        for index, item in enumerate(items):
            await send("response.output_item.added", output_index=index, item=item)
            if item["type"] == "message":
                for word in item["content"][0]["text"].split(" "):
                    where = {"item_id": item["id"], "output_index": index, "content_index": 0, "logprobs": []}
                    await send("response.output_text.delta", delta=word, **where)
            await send("response.output_item.done", output_index=index, item=item)
        if (gate := self.gates.get(n)) is not None:
            await gate.wait()
        if end == "error":
            await send("error", code="server_error", message="boom, sk-secret", param=None)
        elif end != "nothing":
            await send(end, response=_response(n, end.removeprefix("response."), items))


def _response(n: int, status: str, output: Sequence[Event]) -> Event:
    return {
        "id": f"resp_{n}", "object": "response", "created_at": 0, "model": "m", "status": status, "output": output,
        "error": {"code": "server_error", "message": "sk-secret"} if status == "failed" else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None,
    }  # fmt: skip


@asynccontextmanager
async def serving(*answers: Sequence[Event | str] | int) -> AsyncIterator[ResponsesServer]:
    """Run such a server."""
    server = ResponsesServer(*answers)
    application = web.Application()
    application.router.add_post("/v1/responses", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()
