"""Options that several commands have, and how all of them end."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import typer

EPILOG = (
    "exit status: 0 completed, 1 internal error, 2 usage, 3 refused, 4 no media, 5 lost midway, "
    "129 terminal closed, 130 interrupted, 143 terminated"
)


def flag(name: str, *, help: str) -> Any:
    """Return an option that is on when it is given, without a value in the help text."""
    return typer.Option(name, metavar="", help=help)


BaseUrl: TypeAlias = Annotated[
    str | None, typer.Option(metavar="URL", help="API base; default: $OPENAI_BASE_URL, else OpenAI's")
]
Query: TypeAlias = Annotated[list[str] | None, typer.Option(metavar="K=V", help="provider query parameter; repeatable")]
Header: TypeAlias = Annotated[list[str] | None, typer.Option(metavar="K:V", help="extra header; repeatable")]
Verbose: TypeAlias = Annotated[bool, flag("--verbose", help="write the log to stderr")]
