"""The speech samples that ship with this package, and the words spoken in them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parent.parent / "assets"

CALLER_SPEECH: Final[Path] = _FOLDER / "caller.ogg"
"""A caller asks a question; a few seconds of clear speech, Ogg/Opus, mono."""
CALLER_TEXT: Final[str] = (_FOLDER / "caller.txt").read_text(encoding="utf-8").strip()
"""What the caller says in `CALLER_SPEECH`."""

AGENT_SPEECH: Final[Path] = _FOLDER / "agent.ogg"
"""An agent answers that question in another voice; a few seconds of clear speech, Ogg/Opus, mono."""
AGENT_TEXT: Final[str] = (_FOLDER / "agent.txt").read_text(encoding="utf-8").strip()
"""What the agent says in `AGENT_SPEECH`."""
