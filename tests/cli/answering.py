"""`rtc-client answer` as tests start it."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.command import Running


async def ready(server: Running) -> dict[str, Any]:
    """Return what the first line of a server says."""
    line: dict[str, Any] = json.loads(await server.first_line())
    return line
