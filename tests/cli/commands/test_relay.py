"""Promise: `rtc-client relay` stands before any answerer, tells where, and what it does to the calls through it."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from typing import Any

import pytest

from rtc_client.testing import FakeAnswerer
from tests.cli.answering import ready
from tests.cli.command import run, running

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")


def asked(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a control route answers to a program in any language."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    with opener.open(urllib.request.Request(url, data=data), timeout=10) as response:
        told: dict[str, Any] = json.load(response)
        return told


async def test_a_call_through_it_loses_what_was_asked_for() -> None:
    """The command's own client calls the command's own answerer by way of it; the figures say what was lost."""
    async with running("answer", "--voice", "tone:440", key=None) as server:
        to = (await ready(server))["base_url"]
        options = ("--loss", "30/0", "--delay", "20", "--seed", "5")
        async with running("relay", "--to", to, *options, key=None) as relay:
            line = await ready(relay)
            assert (line["to"], line["seed"]) == (to, 5)
            assert line["base_url"] == f"http://127.0.0.1:{line['port']}/v1"
            call = await run("call", "--base-url", line["base_url"], "--max-duration", "1.5", "--json", "--quiet")
            report = await asyncio.to_thread(asked, f"http://127.0.0.1:{line['port']}/_report")
            await asyncio.to_thread(asked, f"http://127.0.0.1:{line['port']}/_shutdown", {})
            ended = await relay.finished()

    assert (call.status, call.stderr) == (0, "")
    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")
    (relayed,) = report["calls"]
    assert relayed["call_id"] == call.report["call_id"]
    up, down = relayed["to_agent"], relayed["to_caller"]
    assert 0.1 < up["rtp_lost"] / up["rtp_packets"] < 0.5
    assert down["rtp_packets"] > 40
    assert down["rtp_lost"] == 0
    assert report["network"]["seed"] == 5
    assert report["network"]["to_caller"]["delay_s"] == 0.02


async def test_the_same_seed_loses_as_much_again() -> None:
    """Two calls through it meet the same network, from its beginning; another process with the seed does it again."""
    losses = []
    async with FakeAnswerer() as answerer:
        for _ in range(2):
            async with running("relay", "--to", answerer.base_url, "--loss", "20", "--figures", "0.2") as relay:
                base = (await ready(relay))["base_url"]
                call = await run("call", "--base-url", base, "--in", "tone:440", "--max-duration", "1", "--quiet")
                relay.send(signal.SIGTERM)
                ended = await relay.finished()
            assert (call.status, ended.status) == (0, 143)
            figures = [json.loads(line) for line in ended.stdout.splitlines()]
            up = [told["calls"][0]["to_agent"] for told in figures if told["calls"]]
            # As many packets as came, so many were lost: of two runs the shorter is the beginning of the longer.
            losses.append({one["rtp_packets"]: one["rtp_lost"] for one in up})
    assert all(max(of_run.values()) > 2 for of_run in losses)
    for n_packets in losses[0].keys() & losses[1].keys():
        assert losses[0][n_packets] == losses[1][n_packets]


async def test_what_cannot_be_relayed_is_a_usage_error() -> None:
    """A base that is none, a network that cannot be, keys sent readable: 2, with one line that says what to do."""
    to = ("--to", "http://127.0.0.1:9/v1")
    finished = await asyncio.gather(
        run("relay", "--to", "no-url"),
        run("relay", "--to", "http://answerer.example/v1"),
        run("relay", *to, "--loss", "100"),
        run("relay", *to, "--loss", "five"),
        run("relay", *to, "--delay", "nan"),
        run("relay", *to, "--blackout", "5"),
        run("relay", *to, "--host", "192.0.2.77"),
        run("relay"),
    )

    assert [(ended.status, len(ended.lines), ended.stdout) for ended in finished] == [(2, 1, "")] * 8
    assert "--allow-insecure" in finished[1].lines[0]
    assert "AT:FOR" in finished[5].lines[0]
