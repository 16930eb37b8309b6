"""A headless WebRTC voice-call client for realtime voice models.

    async with connect(CallConfig.from_env(), source=FileSource("hello.wav"), sink=WavSink("agent.wav")) as call:
        async for event in call.events():
            ...
    print(call.result.as_text())

The public names are those of `rtc_client._public`, loaded when the first of them is used, so that the command's
`--help` does not wait for a media stack. The fake answerer is `rtc_client.testing`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtc_client._public import *  # noqa: F403
    from rtc_client._public import __all__ as __all__
else:

    def __getattr__(name):
        if name == "__all__" or not name.startswith("_"):
            public = import_module("rtc_client._public")
            if name == "__all__" or name in public.__all__:
                return getattr(public, name)
        raise AttributeError(f"module 'rtc_client' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *import_module("rtc_client._public").__all__})
