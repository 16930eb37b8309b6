"""The far side of `bench devices --call`: a fake answerer whose agent says pulses, and counts those that come back.

`python -m tests.bench.pulsing SECONDS` prints its base URL, and, when its standard input ends, what it heard, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

from rtc_client.audio.frames import SAMPLE_RATE_HZ
from rtc_client.testing import AgentScript, Clip, FakeAnswerer, SpokenTurn
from rtc_client.testing.scenario.script import AtTime
from tests.bench.stations import Station, pulses

EVERY_S = 1.0
TURN_S = 10.0


async def main(seconds: float) -> None:
    """Answer calls, and say pulses in each for so long."""
    clip = Clip(pulses(TURN_S, EVERY_S))
    first = SpokenTurn(voice=clip, when=AtTime(0.5))
    turns = [first, *[SpokenTurn(voice=clip)] * max(0, round(seconds / TURN_S) - 1)]
    async with FakeAnswerer(script=AgentScript(turns=turns)) as answerer:
        print(answerer.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        station = Station(SAMPLE_RATE_HZ)
        heard = answerer.calls[0].heard
        for start in range(0, len(heard) - 239, 240):
            station.note(heard[start : start + 240], start / SAMPLE_RATE_HZ)
        found = {"pulses": len(station.passages()), "violations": [str(one) for one in answerer.violations]}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
