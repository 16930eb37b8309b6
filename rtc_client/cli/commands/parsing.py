"""Reads what several verbs take: pairs, files, tones, the log's level. Imports nothing heavy."""

from __future__ import annotations

import logging
from pathlib import Path

from rtc_client.errors import ConfigError


def set_up_logging(*, verbose: bool) -> None:
    """Send the log to stderr: everything of ours with `--verbose`, else only what is a bug."""
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.ERROR)
    logging.getLogger("rtc_client").setLevel(logging.INFO if verbose else logging.ERROR)


def header_pair(item: str) -> tuple[str, str]:
    """Return name and value of a `--header`.

    Raises:
        ConfigError: It has no value, or would carry the key.
    """
    name, value = split_pair("--header", ":", item)
    if name.lower() in ("authorization", "proxy-authorization"):
        raise ConfigError(
            f"--header cannot carry {name}: the key comes from OPENAI_API_KEY, never from the command line"
        )
    return name, value


def split_pair(option: str, separator: str, item: str) -> tuple[str, str]:
    """Return name and value of an option that is a pair.

    Raises:
        ConfigError: It is none.
    """
    name, found, value = item.partition(separator)
    if not found or not name.strip():
        raise ConfigError(f"{option} needs a name and a value, as in name{separator}value")
    return name.strip(), value.strip()


def text_or_file(what: str, text: str | None) -> str | None:
    """Return a text that was typed, or what is in the file that `@FILE` names.

    Raises:
        ConfigError: The file cannot be read.
    """
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{what} in {text[1:]} cannot be read: {reason}") from None


def frequency_hz(option: str, text: str) -> float:
    """Return the frequency behind `tone:`.

    Raises:
        ConfigError: It is not a number.
    """
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{option} tone:HZ needs a number of hertz, as in tone:440") from None
