"""Drives one page in headless Chromium as its user does, by the DevTools protocol: looks, clicks, types."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.interop.browser import FLAGS, executable

LIMIT_S = 15.0


class PageFailed(AssertionError):
    """The page's own script raised."""


class DrivenPage:
    """One tab. Everything waited for has a deadline."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._session_id: str | None = None
        self.complaints: list[str] = []
        """Exceptions of the page's script, its console's errors, and what its security policy refused."""

    async def open(self, url: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Open a tab with this address, and wait until it is loaded."""
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session_id = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self._call(f"{domain}.enable")
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.prefer("dark" if dark else "light")
        await self._call("Page.navigate", url=url)
        await self.sees("document.readyState === 'complete'")

    async def prefer(self, scheme: str) -> None:
        """Let the browser prefer light or dark."""
        await self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageFailed(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def sees(self, expression: str, timeout_s: float = LIMIT_S) -> Any:
        """Return the value of an expression once it is true.

        Raises:
            TimeoutError: It was not within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 - a page announces nothing
                    await asyncio.sleep(0.03)
                return value
        except TimeoutError:
            raise TimeoutError(f"the page never showed: {expression}; it shows: {await self.text()}") from None

    async def text(self, selector: str = "body") -> str:
        """Return what a reader sees of an element."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def click(self, selector: str) -> None:
        """Click with the mouse at the middle of an element."""
        where = await self.sees(
            f"""(() => {{ const node = document.querySelector({json.dumps(selector)});
            if (!node || node.disabled) return null; node.scrollIntoView({{block: "nearest"}});
            const box = node.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
            const hit = document.elementFromPoint(x, y);
            return box.width && (node === hit || node.contains(hit)) ? [x, y] : null; }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)

    async def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select element, which must have it."""
        chosen = json.dumps(value)
        has_it = await self.evaluate(
            f"""(() => {{ const node = document.querySelector({json.dumps(selector)}); node.value = {chosen};
            node.dispatchEvent(new Event("change", {{bubbles: true}})); return node.value === {chosen}; }})()"""
        )
        assert has_it, f"{selector} has no option {value}"

    async def fill(self, selector: str, text: str) -> None:
        """Type into a field, in place of what is there."""
        await self.click(selector)
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        await self._call("Input.insertText", text=text)

    async def picture(self, path: Path) -> None:
        """Write what is seen to a PNG file."""
        shot = await self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session_id is not None:
            message["sessionId"] = self._session_id
        async with asyncio.timeout(LIMIT_S):
            await self._socket.send(json.dumps(message))
            while True:
                answer = json.loads(await self._socket.recv())
                if answer.get("id") == self._number:
                    assert "error" not in answer, (method, answer["error"])
                    result: dict[str, Any] = answer["result"]
                    return result
                self._note(answer)

    def _note(self, told: dict[str, Any]) -> None:
        match told:
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                self.complaints.append(str(details.get("exception", details).get("description", details)))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": text, **entry}}}:
                self.complaints.append(f"{text} {entry.get('url', '')}")


@asynccontextmanager
async def driven_page(
    url: str, *, width: int = 1280, height: int = 800, dark: bool = False
) -> AsyncIterator[DrivenPage]:
    """Start Chromium with a page; both are gone when the block is left."""
    profile = Path(tempfile.mkdtemp(prefix="chromium-"))
    browser = await asyncio.create_subprocess_exec(
        executable() or "chromium", *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while not (told := _read(profile / "DevToolsActivePort")).count("\n"):  # noqa: ASYNC110 - nor does Chromium
                await asyncio.sleep(0.05)
        port, path = told.split("\n")[:2]
        async with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, compression=None, proxy=None) as socket:
            page = DrivenPage(socket)
            await page.open(url, width=width, height=height, dark=dark)
            yield page
    finally:
        # The browser is a family of processes; they are in a group of their own.
        if browser.returncode is None:
            os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
