"""Promises about a far side that is not ours: headless Chromium answers, and audio flows both ways."""

from __future__ import annotations

import numpy as np
import pytest

from rtc_client import CallConfig, EndReason, NumpySink, ToneSource, connect
from rtc_client.audio.frames import Samples
from tests.interop.browser import ChromiumAnswerer, executable

pytestmark = [
    pytest.mark.real_time("a browser keeps its own time"),
    pytest.mark.skipif(executable() is None, reason="no Chromium here: apt-get install chromium"),
]

WITH_ADDRESSES = ("--disable-features=WebRtcHideLocalIpsWithMdns",)


def _dominant_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples.astype(float) * np.hanning(len(samples))))
    return float(spectrum.argmax() * 24_000 / len(samples))


@pytest.mark.parametrize("flags", [(), WITH_ADDRESSES], ids=["mdns", "addresses"])
async def test_a_call_with_chromium_is_heard_at_both_ends(flags: tuple[str, ...]) -> None:
    """Our tone arrives in the browser at its frequency and level, and the browser's in our recording."""
    sink = NumpySink()
    async with ChromiumAnswerer(flags=flags, tone_hz=660) as far:
        config = CallConfig(api_key="key", base_url=far.base_url)
        async with connect(config, source=ToneSource(440, level_dbfs=-20), sink=sink) as call:
            heard = await far.hears(440, times=5)
        result = call.result

    agent = sink.samples[round(0.5 * 24_000) :]
    assert _dominant_hz(agent) == pytest.approx(660, abs=3)
    # An analyser's window is 0.34 s: the first may have begun before the tone.
    assert [m["level_dbfs"] for m in heard[2:]] == pytest.approx([-20] * 3, abs=1)
    assert result.received.level_dbfs == pytest.approx(-15, abs=2)
    assert result.datagrams_dropped == {}
    assert result.timings_ms.setup is not None
    assert result.timings_ms.setup - (result.timings_ms.post or 0) < 1_000


async def test_chromium_that_hangs_up_ends_the_call() -> None:
    """A page that closes its peer connection has hung up: the call is completed, not lost."""
    async with ChromiumAnswerer() as far, connect(CallConfig(api_key="key", base_url=far.base_url)) as call:
        far.hang_up()
        result = await call.wait_ended()

    assert result.end is not None
    assert result.end.reason is EndReason.REMOTE_HANGUP
