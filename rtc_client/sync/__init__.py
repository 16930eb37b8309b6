"""The sync front door, for scripts and notebooks: `connect`, `Call` and `RealtimeApi` without `async` and `await`.

    with sync.connect(CallConfig.from_env(), source=FileSource("hello.wav")) as call:
        for event in call.events():
            ...

Each of them has a thread and an event loop of its own. It works wherever a program may block: in a script, in a cell of
Jupyter, in many threads at once. A program that has an event loop to keep running uses `rtc_client.connect`.
"""

from rtc_client.sync.call import Call, connect
from rtc_client.sync.realtime_api import RealtimeApi

__all__ = ["Call", "RealtimeApi", "connect"]
