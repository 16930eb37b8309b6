"""`rtc-client cassette`: compares two recorded calls, converts recordings of the reference client."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Final

from rtc_client.cassette.comparison import Difference, differences
from rtc_client.cassette.reference_client import read
from rtc_client.cli.console.stdio import print_error, print_line
from rtc_client.cli.exit_status import USAGE
from rtc_client.errors import ConfigError

DIFFERENT: Final = 1


def run_diff(a: Path, b: Path, *, sequence: bool, json: bool) -> int:
    """Print what differs, one line each or as one object; return 0 for nothing, 1 for something, 2 for a bad file."""
    try:
        found = differences(read(a), read(b), sequence=sequence)
    except ConfigError as error:
        print_error(f"rtc-client: {error}")
        return USAGE
    status = DIFFERENT if found else 0
    if json:
        told = {"differ": bool(found), "differences": [_as_json(one) for one in found]}
        return print_line(json_format.dumps(told, ensure_ascii=False), status)
    lines = [str(one) for one in found] or [f"no difference in structure between A ({a}) and B ({b})"]
    return print_line("\n".join(lines), status)


def run_convert(recording: Path, folder: Path) -> int:
    """Write the cassette of a recording; return 0, or 2 for a bad file or folder."""
    try:
        read(recording).save(folder)
    except ConfigError as error:
        print_error(f"rtc-client: {error}")
        return USAGE
    return 0


def _as_json(difference: Difference) -> dict[str, object]:
    return {"where": difference.where, "a": difference.a, "b": difference.b}
