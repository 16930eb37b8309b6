"""What public names say of themselves, and what is missing: the rules that tests/test_docstrings.py holds them to.

Read from the source, for a docstring below a field is nowhere else. The rules:

- a class, function, method, property, constant or alias has a docstring; a method may have it from a base class, or
  from the public protocol that its class follows;
- a field or parameter is told of: by a docstring of its own, under `Args`, or by its name in the words about its class
  or function. One whose type is a public class of ours says enough by that, a flag or a choice by its name; names that
  mean the same everywhere stand in docs/pages/reference/index.md, those of W3C in its webrtc-stats;
- a number says its unit, in its name or in words; so does what a function returns;
- an array says dtype and shape;
- who raises says what, under `Raises`; and what is said there exists.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

import rtc_client
from rtc_client import errors

PACKAGES: Final = ("rtc_client", "rtc_client.sync", "rtc_client.testing", "rtc_client.testing.asserts")

_NUMBER: Final = re.compile(r"\b(int|float)\b")
_ARRAY: Final = re.compile(r"\b(NDArray|ndarray|Samples)\b")
_SHAPE: Final = re.compile(r"shape `?\(|`to_mono_int16`|`FRAME_SAMPLES` samples|`Samples`")
_DTYPE: Final = re.compile(r"\b(u?int\d+|float\d*)\b|`to_mono_int16`|`FRAME_SAMPLES` samples|`Samples`")
_UNIT_IN_NAME: Final = re.compile(
    r"^n_|(?:^|_)(?:s|ms|hz|dbfs|ratio|fraction|samples|bytes|packets|frames|events|tokens|counts?|index|number|port"
    r"|status|code|times|attempts|length|seed|at)$",
    re.IGNORECASE,
)
_UNIT_IN_WORDS: Final = re.compile(
    r"\b(?:(?:milli|micro)?seconds?|m?s|hertz|k?Hz|decibels?|dB|dBFS|LUFS|samples?|bytes?|bits?|packets?|frames?|"
    r"datagrams?|events?|entries|tokens?|percent|fraction|part of one|probability|score|how (?:many|much|often)|number|"
    r"count(?:s|ed)?|times|index|offset|status|code|version|port|from -?\d+ to \d+|\d+ to \d+|between -?\d\S* and)\b",
    re.IGNORECASE,
)
_MADE_BY_US: Final = re.compile(r"[Mm]ade by|Make it with")
"""Says that nobody else constructs it."""
_FROM_ELSEWHERE: Final = {"UNSET", "UnsetType"}
"""msgspec's own."""
_EVERYONES: Final = {name for name, value in vars(builtins).items() if isinstance(value, type)}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def shortcomings() -> Iterator[str]:
    """Yield everything that a public name does not say, one sentence each."""
    seen: set[object] = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if name in _FROM_ELSEWHERE or inspect.ismodule(value):
                continue
            if inspect.isclass(value) and value.__module__.startswith("rtc_client"):
                if value not in seen:
                    seen.add(value)
                    yield from of_class(f"{package}.{name}", value)
            elif inspect.isfunction(value):
                if value not in seen:
                    seen.add(value)
                    around = sys.modules[value.__module__].__doc__ or ""
                    yield from of_function(f"{package}.{name}", _function(value), value.__module__, "", around)
            elif not _constant_doc(package, name):
                yield f"{package}.{name}: has no docstring"


# --- classes ---------------------------------------------------------------------------------------------------------


def of_class(path: str, owner: type) -> Iterator[str]:
    """Yield what a class, its fields and its methods do not say."""
    if not _class_doc(owner):
        yield f"{path}: has no docstring"
    for base in [one for one in owner.__mro__ if one.__module__.startswith("rtc_client")]:
        if base is not owner and base.__name__ in rtc_client.__all__:
            break  # told there
        node = _class(base)
        told = f"{_class_doc(owner)} {_class_doc(base)}"
        yield from _fields(path, base, node, told)
        for function in [one for one in node.body if isinstance(one, Function)]:
            if function.name in ("__init__", "__post_init__"):
                if _MADE_BY_US.search(told):
                    continue
                yield from of_function(path, function, base.__module__, told)
            elif not function.name.startswith("_"):
                yield from _method(f"{path}.{function.name}", function, base, owner)


def _class_doc(owner: type) -> str:
    """Return the docstring, unless it is the signature that `dataclass` puts there."""
    doc = owner.__doc__ or ""
    return "" if doc.startswith(f"{owner.__name__}(") else doc


def _method(path: str, function: Function, base: type, owner: type) -> Iterator[str]:
    decorators = {ast.unparse(one) for one in function.decorator_list}
    if "overload" in decorators or any(one.endswith(".setter") for one in decorators):
        return
    doc = ast.get_docstring(function) or _inherited_doc(owner, function.name)
    if doc is None:
        yield f"{path}: has no docstring"
    elif ast.get_docstring(function):
        yield from of_function(path, function, base.__module__, "", base.__doc__ or "")


def _inherited_doc(owner: type, name: str) -> str | None:
    """Return the docstring of a method that a base class, or a public protocol that is followed, describes."""
    protocols = [
        value
        for value in (getattr(rtc_client, one) for one in rtc_client.__all__)
        if getattr(value, "_is_protocol", False)
        and all(hasattr(owner, member) for member in vars(value) if not member.startswith("_"))
    ]
    for base in [*owner.__mro__[1:], *protocols]:
        member = vars(base).get(name)
        if member is not None and member.__doc__:
            return str(member.__doc__)
    return None


def _fields(path: str, owner: type, node: ast.ClassDef, told: str) -> Iterator[str]:
    is_enum = issubclass(owner, Enum)
    bodies = [node.body]
    bodies += [one.body for one in node.body if isinstance(one, Function) and one.name == "__init__"]
    for body in bodies:
        for statement, after in zip(body, [*body[1:], None], strict=True):
            name, annotation = _field(statement)
            if body is not node.body and not _is_of_self(statement):
                continue
            if name is None or name.startswith("_") or is_enum or annotation.startswith("ClassVar"):
                continue
            own = _text(after)
            if body is not node.body and own is None and not annotation and _is_parameter(node, name):
                continue  # told as a parameter
            if own is None and _inherited_doc(owner, name):
                continue
            yield from _thing(f"{path}.{name}", name, annotation, own, told)


def _field(statement: ast.stmt) -> tuple[str | None, str]:
    target: ast.expr
    if isinstance(statement, ast.AnnAssign):
        target, annotation = statement.target, ast.unparse(statement.annotation)
    elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, annotation = statement.targets[0], ""
    else:
        return None, ""
    if isinstance(target, ast.Name):
        return target.id, annotation
    if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
        return target.attr, annotation
    return None, ""


def _is_of_self(statement: ast.stmt) -> bool:
    return ast.unparse(statement).startswith("self.")


def _is_parameter(node: ast.ClassDef, name: str) -> bool:
    return any(
        argument.arg == name
        for function in node.body
        if isinstance(function, Function) and function.name == "__init__"
        for argument in _parameters(function)
    )


# --- functions -------------------------------------------------------------------------------------------------------


def of_function(path: str, function: Function, module: str, told: str, around: str = "") -> Iterator[str]:
    """Yield what a function, its parameters, its result and its exceptions do not say."""
    doc = ast.get_docstring(function) or ""
    if not (doc or told):
        yield f"{path}: has no docstring"
        return
    words = f"{told}\n{doc}"
    raises = "\n".join(one[one.find("Raises:") :] for one in (told, doc, around) if "Raises:" in one)
    for argument in _parameters(function):
        if not argument.arg.startswith("_"):
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            own = _argument_words(words, argument.arg)
            yield from _thing(f"{path}({argument.arg})", argument.arg, annotation, own, f"{words}\n{around}")
    returns = ast.unparse(function.returns) if function.returns else ""
    if _ARRAY.search(returns):
        yield from _array(f"{path} -> {returns}", doc)
    elif _is_number(returns) and not (_UNIT_IN_NAME.search(function.name) or _UNIT_IN_WORDS.search(doc)):
        yield f"{path}: returns a number without a unit"
    said = set(re.findall(r"(?m)^ {4,}([A-Z]\w+): ", raises))
    prose = f"{words} {around}"
    for name in sorted(_raised(function)):
        if not (name in said or re.search(rf"\b{name}\b", prose) or any(base in said for base in _bases(name))):
            yield f"{path}: raises {name} and does not say so"
    for name in sorted(said):
        if not (name in _EVERYONES or hasattr(errors, name) or _is_there(name)):
            yield f"{path}: says that it raises {name}, which does not exist"


def _thing(path: str, name: str, annotation: str, own: str | None, told: str) -> Iterator[str]:
    """Yield what a field or a parameter does not say; `own` are the words about it alone."""
    stem = re.sub(r"^n_|_(?:s|ms|hz|dbfs|samples|bytes)$", "", name)
    is_named = re.search(
        rf"\b(?:{re.escape(name)}|{re.escape(stem)}|{re.escape(stem.replace('_', ' '))})\b", told, re.IGNORECASE
    )
    says_enough = re.search(r"\bbool\b|\bLiteral\b", annotation) or any(
        part in rtc_client.__all__ for part in re.findall(r"[A-Z]\w+", annotation)
    )
    if own is None and not is_named and not says_enough and name not in glossary() and "webrtc-stats" not in told:
        yield f"{path}: is not told of"
    elif _ARRAY.search(annotation):
        yield from _array(path, f"{own} {told}")
    elif _is_number(annotation) and not (_UNIT_IN_NAME.search(name) or _UNIT_IN_WORDS.search(f"{own} {told}")):
        yield f"{path}: is a number without a unit"


def _array(path: str, words: str) -> Iterator[str]:
    if not _SHAPE.search(words):
        yield f"{path}: is an array without a shape"
    if not _DTYPE.search(words):
        yield f"{path}: is an array without a dtype"


def _is_number(annotation: str) -> bool:
    return bool(_NUMBER.search(re.sub(r"\b(?:Callable|Mapping|dict|Literal)\[.*\]", "", annotation)))


def _parameters(function: Function) -> list[ast.arg]:
    arguments = function.args
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    found += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return [one for one in found if one.arg not in ("self", "cls")]


def _argument_words(doc: str, name: str) -> str | None:
    """Return what stands under `Args` about one parameter."""
    found = re.search(rf"(?ms)^ *{re.escape(name)}: (.+?)(?=^ {{4,8}}\w+: |^ *$|\Z)", doc)
    return found[1] if found else None


def _raised(function: Function) -> set[str]:
    """Return the names of the exceptions that the function itself makes and lets out."""
    found = set()
    for node in _own_nodes(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func).rpartition(".")[2]
            if name[0].isupper() and name not in (
                "NotImplementedError",
                "AttributeError",
                "StopIteration",
                "RuntimeError",
            ):
                found.add(name)
    return found


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            pending += ast.iter_child_nodes(node)


def _bases(name: str) -> list[str]:
    kind = getattr(errors, name, None) or getattr(builtins, name, None)
    return [base.__name__ for base in kind.__mro__[1:-2]] if isinstance(kind, type) else []


# --- the source ------------------------------------------------------------------------------------------------------


@cache
def glossary() -> frozenset[str]:
    """Return the names that the reference explains once for all."""
    page = Path(__file__).parent.parent / "docs" / "pages" / "reference" / "index.md"
    rows = [line.split("|")[1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return frozenset(name for row in rows for name in re.findall(r"`(\w+)`", row))


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))


def _class(owner: type) -> ast.ClassDef:
    return next(
        n for n in ast.walk(_tree(owner.__module__)) if isinstance(n, ast.ClassDef) and n.name == owner.__name__
    )


def _function(function: Any) -> Function:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, Function)
    return node


def _constant_doc(package: str, name: str) -> str | None:
    """Return the string below an assignment, in whatever module of ours makes it."""
    for module in [one for one in list(sys.modules) if one.startswith("rtc_client.") and sys.modules[one].__doc__]:
        body = _tree(module).body
        for statement, after in zip(body, [*body[1:], None], strict=True):
            if _field(statement)[0] == name and (text := _text(after)):
                return text
    return None


def _text(statement: ast.stmt | None) -> str | None:
    match statement:
        case ast.Expr(value=ast.Constant(value=str() as text)):
            return text
    return None


def _is_there(name: str) -> bool:
    return any(hasattr(module, name) for key, module in list(sys.modules.items()) if key.startswith("rtc_client"))


if __name__ == "__main__":
    for line in shortcomings():
        sys.stdout.write(line + "\n")
