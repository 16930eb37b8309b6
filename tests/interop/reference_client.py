"""The published reference client as a far side that is not ours: its `app-server`, driven over JSON-RPC.

Here are one such process, and the model that it asks for the work a handoff gives it; `reference_install.py` gets the
program. What it says to an answerer is the tests' to judge. It reaches nothing but this machine: whatever else it would
ask for goes to a proxy that is not there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import web

from rtc_client import testing
from rtc_client.testing.wire.bell import Bell

# As in the recordings, so that what it sends can be compared byte for byte.
KEY: Final = "dummy-api-key"
CLIENT: Final = {"name": "capture", "title": None, "version": "0"}

DOCUMENTATION: Final = Path(testing.__file__).parent / "docs" / "reference-client.md"
RPC_LIMIT_S: Final = 15.0
LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024

JsonObject = dict[str, Any]

_ERROR: Final = "thread/realtime/error"
_CLOSED: Final = "thread/realtime/closed"
"""Told after an error of a call that had begun."""
_UNWANTED: Final = ("apps", "plugins", "remote_plugin", "plugin_sharing", "shell_snapshot")
"""Features that would ask hosts on the internet, or start processes, and have no part in a call."""


@dataclass
class ModelBackend:
    """The model that the reference client asks to do what was handed off; says one prepared sentence each time.

    It is that client's dependency, and so the least it needs (the Responses API's event stream).
    """

    sentences: tuple[str, ...] = ("the final answer",)
    """Said in this order; the last one again and again."""
    requests: list[JsonObject] = field(default_factory=list)
    """The bodies of what it was asked."""
    base_url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=LINE_LIMIT_BYTES)
        app.router.add_post("/v1/responses", self._respond)
        app.router.add_get("/v1/models", _no_models)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.3)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        sentence = self.sentences[min(len(self.requests), len(self.sentences)) - 1]
        response_id = f"r{len(self.requests)}"
        message = {"type": "message", "role": "assistant", "id": f"{response_id}_m0"}
        usage = {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1, "output_tokens_details": None}
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        for event in (
            {"type": "response.created", "response": {"id": response_id}},
            {
                "type": "response.output_item.added",
                "item": message | {"content": [{"type": "output_text", "text": ""}]},
            },
            {"type": "response.output_text.delta", "delta": sentence},
            {
                "type": "response.output_item.done",
                "item": message | {"content": [{"type": "output_text", "text": sentence}]},
            },
            {"type": "response.completed", "response": {"id": response_id, "usage": usage | {"total_tokens": 2}}},
        ):
            await stream.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        await stream.write_eof()
        return stream


@dataclass
class AppServer:
    """One running `app-server` with a thread in which calls can be placed; use it as an `async with` block.

    Its offers go to `call_url`, an API base or one of the backend shape, and its sidebands to `answerer_url`, an API
    base; its model is at `backend_url`.
    """

    program: Path
    answerer_url: str
    backend_url: str
    call_url: str
    thread_id: str = ""
    told: list[tuple[str, JsonObject]] = field(default_factory=list)
    """The notifications it gave, in order: method and parameters."""

    async def __aenter__(self) -> Self:
        self._bell = Bell()
        self._replies: dict[int, JsonObject] = {}
        self._n_requests = 0
        self._home = Path(tempfile.mkdtemp(prefix="reference-client-"))
        (self._home / "work").mkdir()
        (self._home / "config.toml").write_text(self._config(), encoding="utf-8")
        self._complaints = (self._home / "stderr").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            str(self.program), "app-server", cwd=self._home / "work", env=self._environment(), limit=LINE_LIMIT_BYTES,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._complaints,
            start_new_session=True,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(), name="reference-client-stdout")
        try:
            await self.ask("initialize", {"clientInfo": CLIENT, "capabilities": {"experimentalApi": True}})
            await self._write({"method": "initialized"})
            options = {"cwd": str(self._home / "work"), "approvalPolicy": "never", "sandbox": "read-only"}
            self.thread_id = (await self.ask("thread/start", options))["thread"]["id"]
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # A small script starts the program itself; both are in a group of their own.
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._reading
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._complaints.close()
        await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Send a request and return its result.

        Raises:
            AssertionError: If it is refused.
            TimeoutError: If it is not answered.
        """
        self._n_requests += 1
        number = self._n_requests
        await self._write({"id": number, "method": method, "params": params})
        reply = await self._bell.until(
            lambda: self._replies.get(number), timeout_s=RPC_LIMIT_S, what=lambda: f"{method} ({self._last_words()})"
        )
        assert "error" not in reply, f"{method}: {reply['error']}"
        result: JsonObject = reply["result"]
        return result

    async def in_call(self, verb: str, **params: Any) -> None:
        """Ask for something about the call of this thread: `start`, `appendText`, `stop`."""
        await self.ask(f"thread/realtime/{verb}", {"threadId": self.thread_id, **params})

    async def is_told(
        self, method: str, is_wanted: Callable[[JsonObject], bool] = lambda _: True, *, times: int = 1
    ) -> JsonObject:
        """Return the parameters of the first such notification, or of a later one.

        Raises:
            AssertionError: If an error of the call is told instead.
            TimeoutError: If it did not come in time; the message says what came.
        """

        def find() -> JsonObject | None:
            such = [params for name, params in self.told if name == method and is_wanted(params)]
            if len(such) >= times:
                return such[times - 1]
            errors = [params for name, params in self.told if name == _ERROR]
            assert not errors or method in (_ERROR, _CLOSED), f"told instead of {method}: {errors}"
            return None

        return await self._bell.until(find, timeout_s=RPC_LIMIT_S, what=lambda: f"{method} ({self._last_words()})")

    async def _write(self, message: JsonObject) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            if "method" not in message:
                self._replies[message["id"]] = message
            elif "id" not in message:
                self.told.append((message["method"], message["params"]))
            else:
                await self._write({"id": message["id"], "error": {"code": -32601, "message": "not offered here"}})
            self._bell.ring()

    def _last_words(self) -> str:
        told = ", ".join(method for method, _ in self.told[-12:]) or "nothing"
        errors = [params for method, params in self.told if method.endswith("error")]
        stderr = (self._home / "stderr").read_text(encoding="utf-8", errors="replace")[-600:]
        return f"told: {told}; errors: {errors}; stderr: {stderr}"

    def _config(self) -> str:
        """Return the configuration that the documentation shows, with our addresses, and with what a test needs."""
        page = DOCUMENTATION.read_text(encoding="utf-8")
        shown = page.partition("```toml\n")[2].partition("```")[0]
        for example, ours in (
            ("http://127.0.0.1:8080/v1", self.call_url),
            ("ws://127.0.0.1:8080/v1", self.answerer_url.replace("http", "ws", 1)),
            ("http://127.0.0.1:8081/v1", self.backend_url),
        ):
            assert f'"{example}"' in shown
            shown = shown.replace(f'"{example}"', f'"{ours}"')
        unwanted = "".join(f"{feature} = false\n" for feature in _UNWANTED)
        return f"check_for_update_on_startup = false\n{shown}{unwanted}[analytics]\nenabled = false\n"

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        nowhere = "http://127.0.0.1:9"
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), nowhere)
        here = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        return kept | proxies | here | {"HOME": str(self._home), "CODEX_HOME": str(self._home), "LOCAL_KEY": KEY}


async def _no_models(_: web.Request) -> web.Response:
    return web.json_response({"models": []})
