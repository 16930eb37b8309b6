"""Writes sync/call.py and sync/realtime_api.py from the async doors; scripts/make-sync runs it.

Every public method and property of the async `Call`, its bases included, becomes one of the sync `Call`, by its shape:
a coroutine function waits, an async iterator becomes an iterator, the rest is asked for in the call's thread. What
fits none of these (a method that returns something to be awaited, say) stops the program with a sentence that says why.
`RealtimeApi` is written likewise; it is made by its constructor and by class methods.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rtc_client.call import call as door
from rtc_client.call import connect as dialling
from rtc_client.signaling import realtime_api as rest

_SYNC: Final = Path(__file__).parent.parent.parent / "rtc_client" / "sync"
TARGET: Final = _SYNC / "call.py"
REST_TARGET: Final = _SYNC / "realtime_api.py"
_ITERATORS: Final = ("AsyncIterator", "AsyncGenerator", "AsyncIterable")
_HEAD: Final = '''\
"""The sync `connect` and `Call`, with the methods of the async ones. Written by scripts/make-sync: do not edit.

It may pass 600 lines: it says everything that rtc_client/call/call.py says, and nothing else. How waiting is done
stands in blocking.py.
"""

from __future__ import annotations

'''
_CLASS: Final = '''class Call(BlockingCall):
    """One voice call of a program without an event loop. Make it with `connect`.

    Every method may be called from any thread, also from one in which an event loop runs: it blocks that thread.
    Methods that wait take `timeout_s`. Ctrl-C while one of them waits raises KeyboardInterrupt there, and leaving the
    `with` block by it hangs up.

    Raises:
        WrongThread: A method that waits is called in the thread of the call, where sinks, sources and logs are
            called back.
        CallClosed: A method is called in a child process, after a fork.
    """

'''
_REST_HEAD: Final = '''\
"""The sync `RealtimeApi`, with the methods of the async one. Written by scripts/make-sync: do not edit.

How waiting is done stands in blocking.py.
"""

from __future__ import annotations

'''
_REST_CLASS: Final = '''class RealtimeApi(BlockingApi):
    """The REST side of the realtime API: `with RealtimeApi(api_key=...) as api: api.hangup("rtc_123")`.

    One HTTP client, used for as many requests as you like, from any threads; leaving the block closes it. Methods take
    `timeout_s`.

    Raises:
        CallClosed: A method is called in a child process, after a fork.
    """

'''
_WAITS: Final = "Waits for at most `timeout_s` seconds; None is without limit."
_READS: Final = (
    "Each step waits for at most `timeout_s` seconds, and may be tried again after that; None is without limit."
)

_OVER: Final = "`timeout_s` is over, which alone does not end the call."
_ABANDONED: Final = "`timeout_s` is over; the request is abandoned, and may have been carried out."

_WORDS: Final = {
    "async with": "with",
    ", is tried again and can be cancelled as": ", and is tried again, as",
    "async for": "for",
    "await ": "",
    "from several tasks": "from any thread",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnknownShape(Exception):
    """A member of the async `Call` has a shape that the sync one has no word for."""


def written() -> str:
    """Return the text of rtc_client/sync/call.py, formatted."""
    module = ast.parse(inspect.getsource(dialling))
    functions = [node for node in module.body if isinstance(node, Function) and node.name == "connect"]
    body = _connect(functions[0]) + "\n\n" + _CLASS + "\n".join(_members())
    modules = [door, dialling]
    own = {
        "aio_connect": "from rtc_client.call.connect import connect as aio_connect",
        "BlockingCall": "from rtc_client.sync.blocking import BlockingCall",
        "Iterator": "from collections.abc import Iterator",
    }
    return _formatted(_HEAD + _imports(body, own, modules) + "\n\n" + body, TARGET)


def rest_written() -> str:
    """Return the text of rtc_client/sync/realtime_api.py, formatted."""
    nodes = [node for node in _class_node(rest.RealtimeApi).body if isinstance(node, Function)]
    wanted = [node for node in nodes if node.name == "__init__" or not node.name.startswith("_")]
    body = _REST_CLASS + "\n".join(textwrap.indent(_rest_member(node), "    ") for node in wanted)
    own = {
        "aio": "from rtc_client.signaling import realtime_api as aio",
        "BlockingApi": "from rtc_client.sync.blocking import BlockingApi",
    }
    return _formatted(_REST_HEAD + _imports(body, own, [rest]) + "\n\n" + body, REST_TARGET)


def _formatted(source: str, target: Path) -> str:
    for step in (["check", "--quiet", "--fix", "--select", "I", "-"], ["format", "--quiet", "-"]):
        command = [str(Path(sys.executable).parent / "ruff"), *step, "--stdin-filename", str(target)]
        source = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
    return source


def members() -> dict[str, tuple[type, object]]:
    """Return every public member of the async `Call` by name, and the class that defines it."""
    found: dict[str, tuple[type, object]] = {}
    for owner in reversed(door.Call.__mro__[:-1]):
        found |= {name: (owner, member) for name, member in vars(owner).items() if not name.startswith("_")}
    return found


# --- one member ------------------------------------------------------------------------------------------------------


def _members() -> Iterator[str]:
    for name, (owner, member) in members().items():
        nodes = [node for node in _class_node(owner).body if isinstance(node, Function) and node.name == name]
        if not nodes:
            raise UnknownShape(f"Call.{name} is neither a method nor a property: make it a property")
        for node in nodes:
            yield textwrap.indent(_member(node, member), "    ")


def _member(node: Function, member: object) -> str:
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    if decorators not in ([], ["property"], ["overload"]):
        raise UnknownShape(f"Call.{node.name} is decorated by {decorators}, which the sync door has no word for")
    shape = _shape(node)
    returns = ast.unparse(node.returns) if node.returns else "None"
    if shape == "reads":
        returns = "Iterator" + re.sub(r"^\w+", "", returns.removesuffix(", None]").rstrip("]")) + "]"
    is_property = decorators == ["property"]
    # One that has a limit of its own keeps to that.
    is_limited = any(argument.arg == "timeout_s" for argument in (*node.args.args, *node.args.kwonlyargs))
    parameters = [] if shape == "now" or is_limited else ["timeout_s: float | None = None"]
    if is_property and shape == "reads":
        raise UnknownShape(f"Call.{node.name} is a property to iterate over: make it a method")
    if shape == "now":
        _refuse_awaitable(node.name, member)
    head = "".join(f"@{decorator}\n" for decorator in decorators)
    head += f"def {node.name}({_signature(node.args, parameters)}) -> {returns}:\n"
    if decorators == ["overload"]:
        return head + "    ...\n"
    limit = "None" if is_limited else "timeout_s"
    how = {"waits": f"_wait({limit}, ", "reads": f"_read({limit}, ", "now": "_now("}[shape]
    what = (
        f"lambda: self._call.{node.name}"
        if is_property
        else ", ".join([f"self._call.{node.name}", *_arguments(node.args)])
    )
    docstring = _docstring(node, shape, with_limit=bool(parameters))
    return head + textwrap.indent(f"{docstring}\nreturn self.{how}{what})\n", "    ")


def _rest_member(node: Function) -> str:
    """Return a method of the sync `RealtimeApi`: its constructor, one that makes another, or one that waits."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    arguments = ", ".join(_arguments(node.args))
    if decorators == ["classmethod"] and isinstance(node, ast.FunctionDef):
        head = f"@classmethod\ndef {node.name}({ast.unparse(node.args)}) -> RealtimeApi:\n"
        what = f"cls._of(aio.RealtimeApi.{node.name}({arguments}))"
        return head + textwrap.indent(f"{_docstring(node, 'now', with_limit=False)}\nreturn {what}\n", "    ")
    if node.name == "__init__":
        head = f"def __init__({ast.unparse(node.args)}) -> None:\n"
        what = f"super().__init__(aio.RealtimeApi({arguments}))"
        return head + textwrap.indent(f"{_docstring(node, 'now', with_limit=False)}\n{what}\n", "    ")
    if decorators or not isinstance(node, ast.AsyncFunctionDef):
        raise UnknownShape(f"RealtimeApi.{node.name} is no coroutine function, and makes no RealtimeApi")
    returns = ast.unparse(node.returns) if node.returns else "None"
    head = f"def {node.name}({_signature(node.args, ['timeout_s: float | None = None'])}) -> {returns}:\n"
    what = ", ".join(["timeout_s", f"self._api.{node.name}", *_arguments(node.args)])
    docstring = _docstring(node, "waits", with_limit=True).replace(_OVER, _ABANDONED)
    return head + textwrap.indent(f"{docstring}\nreturn self._wait({what})\n", "    ")


def _shape(node: Function) -> typing.Literal["waits", "reads", "now"]:
    returns = ast.unparse(node.returns) if node.returns else ""
    if returns.startswith(_ITERATORS):
        return "reads"
    return "waits" if isinstance(node, ast.AsyncFunctionDef) else "now"


def _refuse_awaitable(name: str, member: object) -> None:
    function = member.fget if isinstance(member, property) else member
    pending = [typing.get_type_hints(function).get("return")]
    while pending:
        hint = pending.pop()
        pending += typing.get_args(hint)
        kind = typing.get_origin(hint) or hint
        if isinstance(kind, type) and not isinstance(hint, types.UnionType):
            names = [n for n in dir(kind) if inspect.iscoroutinefunction(getattr(kind, n, None)) and n[0] != "_"]
            if names or hasattr(kind, "__await__") or hasattr(kind, "__aiter__") or hasattr(kind, "__aenter__"):
                raise UnknownShape(f"Call.{name} returns {kind.__name__}, which has to be awaited: give it a sync face")


def _connect(node: Function) -> str:
    return (
        f"def connect({_signature(node.args, [])}) -> Call:\n    {_docstring(node, 'now', with_limit=False)}\n"
        f"    return Call(aio_connect({', '.join(_arguments(node.args))}), config)\n"
    )


# --- its parts -------------------------------------------------------------------------------------------------------


def _signature(arguments: ast.arguments, more: list[str]) -> str:
    """Return the parameters with `more` among the keyword-only ones."""
    text = ast.unparse(arguments)
    if not more:
        return text
    if arguments.kwarg is not None:
        head, found, tail = text.rpartition(f"**{arguments.kwarg.arg}")
        return f"{head}{', '.join(more)}, {found}{tail}"
    has_star = bool(arguments.kwonlyargs or arguments.vararg)
    return ", ".join([text, *([] if has_star else ["*"]), *more])


def _arguments(arguments: ast.arguments) -> list[str]:
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args) if a.arg not in ("self", "cls")]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    return names + ([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])


def _docstring(node: Function, shape: str, *, with_limit: bool) -> str:
    text = ast.get_docstring(node) or ""
    for old, new in _WORDS.items():
        text = text.replace(old, new)
    # What cancelling does is no question here; what a limit does is told below.
    text = re.sub(r"(?s)(?<=[.\n]) ?Cancelling .*?\.(?=\s|$)", "", text).rstrip()
    text = re.sub(r"\n{3,}", "\n\n", text)
    if with_limit:
        told, sections = re.split(r"(?m)(?=^(?:Args|Raises):$)|\Z", text, maxsplit=1)
        sections += "" if "Raises:\n" in sections else "\n\nRaises:"
        text = f"{told.rstrip()}\n\n{_WAITS if shape == 'waits' else _READS}\n\n{sections.strip()}"
        text += f"\n    TimeoutError: {_OVER}"
    lines = text.replace("\\", "\\\\").split("\n")
    ending = '"""' if len(lines) == 1 else '\n    """'
    return '"""' + "\n".join([lines[0], *("    " + line if line else "" for line in lines[1:])]) + ending


def _class_node(owner: type) -> ast.ClassDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    return typing.cast("ast.ClassDef", tree.body[0])


def _imports(body: str, own: dict[str, str], modules: list[types.ModuleType]) -> str:
    """Return what imports every name that is used, as `own` says or from where the async door has it."""
    tree = ast.parse(body)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    used -= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    used -= {argument.arg for argument in ast.walk(tree) if isinstance(argument, ast.arg)}
    used -= {"Call", "RealtimeApi", "connect", *dir(builtins)}
    lines = dict(own)
    for module in modules:
        nodes = ast.parse(inspect.getsource(module))
        for node in ast.walk(nodes):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    known = alias.asname or alias.name
                    suffix = f" as {alias.asname}" if alias.asname else ""
                    lines.setdefault(known, f"from {node.module} import {alias.name}{suffix}")
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    suffix = f" as {alias.asname}" if alias.asname else ""
                    lines.setdefault((alias.asname or alias.name).partition(".")[0], f"import {alias.name}{suffix}")
        for name in vars(module):
            lines.setdefault(name, f"from {module.__name__} import {name}")
    return "\n".join(sorted(lines[name] for name in used if name in lines)) + "\n"


if __name__ == "__main__":
    TARGET.write_text(written(), encoding="utf-8")
    REST_TARGET.write_text(rest_written(), encoding="utf-8")
