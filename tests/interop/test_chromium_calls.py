"""Promises about a caller that is not ours: a page in headless Chromium calls the fake answerer."""

from __future__ import annotations

import numpy as np
import pytest

from rtc_client.audio.pcm import level_dbfs
from rtc_client.testing import AgentScript, CallEnd, FakeAnswerer, SpokenTurn, Tone
from tests.interop.browser import executable
from tests.interop.browser_caller import ChromiumCaller
from tests.testing.caller import joined

pytestmark = [
    pytest.mark.real_time("a browser keeps its own time"),
    pytest.mark.skipif(executable() is None, reason="no Chromium here: apt-get install chromium"),
]

WITH_ADDRESSES = ("--disable-features=WebRtcHideLocalIpsWithMdns",)
SCRIPT = AgentScript(turns=[SpokenTurn(voice=Tone(frequency_hz=660, duration_s=20, level_dbfs=-20), text="beep")])


@pytest.mark.parametrize("flags", [(), WITH_ADDRESSES], ids=["mdns", "addresses"])
async def test_a_page_that_calls_is_heard_and_hears(flags: tuple[str, ...]) -> None:
    """The agent's tone arrives in the page at its frequency and level, and the page's at the answerer; no breach."""
    async with (
        FakeAnswerer(script=SCRIPT) as answerer,
        ChromiumCaller(answerer.base_url, tone_hz=440, flags=flags) as page,
    ):
        call = await answerer.wait_for_call(timeout_s=20)
        async with joined(answerer, call.call_id):
            heard = await page.hears(660, times=6)
            await call.wait_heard(1.6)
            page.hang_up()
            ended = await call.ended()

    # An analyser's window is 0.34 s: the first two may have begun before the tone.
    assert [m["level_dbfs"] for m in heard[2:]] == pytest.approx([-20] * 4, abs=1)
    assert heard[-1]["lost"] == 0
    # The page has just opened its microphone, and closes it at the end.
    caller = call.heard[round(0.3 * 24_000) : -round(0.1 * 24_000)]
    blocks = [level_dbfs(block) for block in np.array_split(caller, len(caller) // 2_400)]
    assert len(blocks) >= 10
    assert blocks == pytest.approx([-15] * len(blocks), abs=1.5), "no gap of 100 ms"
    spectrum = np.abs(np.fft.rfft(caller * np.hanning(len(caller))))
    assert spectrum.argmax() * 24_000 / len(caller) == pytest.approx(440, abs=2)
    assert ended is CallEnd.CLIENT_MEDIA
    assert answerer.violations == []
