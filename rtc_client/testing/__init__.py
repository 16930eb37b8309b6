"""The fake answerer: a real server on loopback to test callers against. Exports only.

It shares no wire code with the client, on purpose: a codec tested against itself agrees with its own mistakes.

The public names are those of `rtc_client.testing._public`, loaded when the first of them is used: pytest imports this
package for its plugin in every project that has it installed, and must not wait for a media stack.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtc_client.testing._public import *  # noqa: F403
    from rtc_client.testing._public import __all__ as __all__
else:

    def __getattr__(name):
        # A submodule that is asked for is none of the public names, and loads nothing but itself.
        if name == "__all__" or not (name.startswith("_") or find_spec(f"{__name__}.{name}")):
            public = import_module("rtc_client.testing._public")
            if name == "__all__" or name in public.__all__:
                return getattr(public, name)
        raise AttributeError(f"module 'rtc_client.testing' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *import_module("rtc_client.testing._public").__all__})
