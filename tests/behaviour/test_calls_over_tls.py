"""Promises about https and wss, which every call to a real service uses: whole calls, through a TLS front.

In real time: `test_a_call_over_tls`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rtc_client import AnswererUnreachable, ConfigError, EndReason, NumpySink, ToneSource, connect
from rtc_client.testing import FakeAnswerer
from rtc_client.testing.asserts import assert_tone
from rtc_client.tls import shared_context
from tests.behaviour.calls import config_for, until
from tests.certificates import server_context


class Front:
    """Takes TLS off what comes, and hands it on to the answerer at `port`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.base_url = ""
        self.n_connections = 0
        self.n_open = 0

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        self.n_open += 1
        onward = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(_pump(reader, onward[1]), _pump(onward[0], writer))
        finally:
            self.n_open -= 1


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while block := await reader.read(65_536):
            writer.write(block)
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


@asynccontextmanager
async def front_of(answerer: FakeAnswerer, context: ssl.SSLContext) -> AsyncIterator[Front]:
    """Yield a TLS front of an answerer."""
    front = Front(answerer.port)
    server = await asyncio.start_server(front.relay, "127.0.0.1", 0, ssl=context)
    front.base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield front
        await until(lambda: front.n_open == 0)


@pytest.mark.both_clocks
async def test_a_call_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer, sideband and hang-up go over TLS to whom `SSL_CERT_FILE` trusts; the offer's connection is not kept."""
    context, trusted = server_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    sink = NumpySink()
    async with FakeAnswerer() as answerer, front_of(answerer, context) as front:
        config = config_for(answerer, base_url=front.base_url)
        async with connect(config, source=ToneSource(440), sink=sink) as call:
            answered = await answerer.wait_for_call()
            await answered.wait_heard(0.5)
            await until(lambda: front.n_open == 1)
            assert front.n_connections == 2
        await answered.ended()
        await until(lambda: front.n_open == 0)

    assert_tone(answered.heard, 440)
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP
    assert front.n_connections == 3


async def test_nobody_is_trusted_unasked(tmp_path: Path) -> None:
    """Without `SSL_CERT_FILE` the same front is refused, and the key was not sent."""
    context, _ = server_context(tmp_path)
    async with FakeAnswerer() as answerer, front_of(answerer, context) as front:
        with pytest.raises(AnswererUnreachable, match=r"(?i)certificate"):
            async with connect(config_for(answerer, base_url=front.base_url)):
                pass
    assert answerer.requests == []


def test_authorities_are_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections of a process share them, until the environment names others."""
    usual = shared_context()
    assert shared_context() is usual
    assert usual.verify_mode is ssl.CERT_REQUIRED
    assert usual.check_hostname
    assert usual.cert_store_stats()["x509_ca"] > 50

    _, trusted = server_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    assert shared_context() is shared_context() is not usual
    assert shared_context().cert_store_stats()["x509"] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "https://127.0.0.1:9/v1"},
        {"base_url": "https://127.0.0.1:9/v1", "transport": "websocket"},
        {"sideband_url": "wss://127.0.0.1:9/v1/realtime"},
    ],
    ids=["offer", "websocket", "sideband"],
)
async def test_authorities_that_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    """Whichever connection needs them: one error that names the variable, and no call is left open."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    async with FakeAnswerer() as answerer:
        with pytest.raises(ConfigError, match=r"SSL_CERT_FILE or SSL_CERT_DIR cannot be used, .*: No such file"):
            async with connect(config_for(answerer, **settings)) as call:
                await call.wait_ended()
        for answered in answerer.calls:
            await answered.ended()
