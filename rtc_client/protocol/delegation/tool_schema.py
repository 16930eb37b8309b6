"""ToolSchema: JSON Schema from a function's signature, arguments from a model's JSON, JSON from its result.

Nothing is run here. Types are msgspec's; a parameter whose type holds a pydantic model, or a pydantic constraint, is
pydantic's, which is not imported: whoever has such a type has imported it.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias, get_args, get_origin, get_type_hints

import msgspec

from rtc_client.errors import ConfigError, InvalidArguments, ToolFailed
from rtc_client.protocol.delegation.docstring import Docstring, read_docstring
from rtc_client.protocol.wire.model import JsonObject

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Names that the API allows."""
MAX_RESULT_BYTES: Final = 256 * 2**10
"""Of a result as JSON: about as many tokens as a conversation holds."""

_REF: Final = "#/$defs/{name}"
_MAX_FAULTS: Final = 5

Function: TypeAlias = Callable[..., object]


class InjectedParameter:
    """Base of what a function gets from the call it runs in, and not from the model: by a parameter of such a type."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    decode: Callable[[bytes], object]
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSchema:
    """What a model is told about a function, and how it is called with what the model wrote."""

    name: str
    description: str
    parameters: JsonObject
    """JSON Schema of the arguments, an object."""
    given: Mapping[str, type]
    """Parameters that get something of the call."""
    _parameters: Mapping[str, _Parameter] = field(repr=False)

    def arguments(self, text: str) -> dict[str, object]:
        """Return the keyword arguments that a JSON object holds. Empty text is an empty object.

        Raises:
            InvalidArguments: In words that tell the model what to change.
        """
        try:
            values = msgspec.json.decode(text or "{}", type=dict[str, msgspec.Raw])
        except (ValueError, RecursionError):
            raise InvalidArguments("the arguments must be one JSON object") from None
        faults = [f"there is no argument {name!r}" for name in values if name not in self._parameters]
        arguments: dict[str, object] = {}
        for name, parameter in self._parameters.items():
            if name in values:
                try:
                    arguments[name] = parameter.decode(bytes(values[name]))
                except Exception as error:  # noqa: BLE001 - a type may have a validator of its own
                    faults.append(f"the argument {name!r} is not valid: {_fault(error)}")
            elif parameter.is_required:
                faults.append(f"the argument {name!r} is missing")
        if faults:
            raise InvalidArguments("; ".join(faults[:_MAX_FAULTS]))
        return arguments


def read_signature(function: Function, *, name: str | None = None, description: str | None = None) -> ToolSchema:
    """Return the signature of a function, whose description and whose parameters' are those of its docstring.

    Raises:
        ConfigError: A model could not call it: its name, or a parameter's type, is none that can be told.
    """
    name = name or getattr(function, "__name__", None) or ""
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"a tool cannot be called {name!r}: a name has 1 to 64 of a-z, A-Z, 0-9, _ and -; pass another as name=..."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"the tool {name} is a generator, and a tool answers once: return its result")
    declared = _declared(function)
    words = read_docstring(inspect.getdoc(declared) or "")
    hints = _hints(name, declared)
    given: dict[str, type] = {}
    spoken: dict[str, tuple[inspect.Parameter, Any]] = {}
    for parameter in _parameters(name, function):
        hint = hints.get(parameter.name, inspect.Parameter.empty)
        if isinstance(hint, type) and issubclass(hint, InjectedParameter):
            given[parameter.name] = hint
        elif hint is inspect.Parameter.empty:
            raise ConfigError(f"the parameter {parameter.name} of the tool {name} has no type: annotate it")
        else:
            spoken[parameter.name] = parameter, hint
    schema, read = _schema(name, spoken, words)
    return ToolSchema(
        name=name,
        description=words.text if description is None else description,
        parameters=schema,
        given=given,
        _parameters=read,
    )


def dump_result(value: object) -> str:
    """Return what a function returned as JSON; whatever msgspec or pydantic can write.

    Raises:
        ToolFailed: JSON cannot say it, or it is longer than `MAX_RESULT_BYTES`.
    """
    try:
        encoded = msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolFailed("the result cannot be told: it is not of a kind that JSON has") from error
    if len(encoded) > MAX_RESULT_BYTES:
        raise ToolFailed(f"the result is too long to be told: {len(encoded)} bytes, and {MAX_RESULT_BYTES} at most")
    return encoded.decode()


def _parameters(name: str, function: Function) -> Iterator[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ConfigError(f"the tool {name} has no signature that could be read: wrap it in a function") from None
    for parameter in parameters:
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"the parameter {parameter.name} of the tool {name} has no name in a call: a model names its arguments"
            )
        yield parameter


def _declared(function: Function) -> Function:
    """Return the function that has the annotations and the docstring."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _hints(name: str, declared: Function) -> Mapping[str, Any]:
    try:
        return get_type_hints(declared, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"the tool {name} has a type that is not known where its module is: define or import {error.name!r} at the "
            "top of it, not within a function or below TYPE_CHECKING"
        ) from None
    except Exception as error:
        raise ConfigError(f"the types of the tool {name} cannot be read: {error}") from error


# --- parameters ------------------------------------------------------------------------------------------------------


def _schema(
    name: str, spoken: Mapping[str, tuple[inspect.Parameter, Any]], words: Docstring
) -> tuple[JsonObject, dict[str, _Parameter]]:
    """Return the schema of all parameters, and how each is read."""
    hints = {parameter: hint for parameter, (_, hint) in spoken.items()}
    theirs = {parameter: hint for parameter, hint in hints.items() if _is_pydantic(hint)}
    ours = {parameter: hint for parameter, hint in hints.items() if parameter not in theirs}
    schemas, shared = _msgspec_schemas(name, ours)
    decoders: dict[str, Callable[[bytes], object]] = {}
    decoders |= {parameter: msgspec.json.Decoder(hint).decode for parameter, hint in ours.items()}
    if theirs:
        more, more_shared, adapters = _pydantic_schemas(name, theirs)
        for clash in shared.keys() & more_shared.keys():
            raise ConfigError(f"two types of the tool {name} are both called {clash}: rename one")
        schemas, shared, decoders = schemas | more, shared | more_shared, decoders | adapters
    properties: JsonObject = {}
    read: dict[str, _Parameter] = {}
    for parameter, (declared, _) in spoken.items():
        schema: JsonObject = dict(schemas[parameter])
        if parameter in words.parameters:
            schema.setdefault("description", words.parameters[parameter])
        is_required = declared.default is inspect.Parameter.empty
        if not is_required:
            schema |= _default(declared.default)
        properties[parameter] = schema
        read[parameter] = _Parameter(parameter, decoders[parameter], is_required)
    whole: JsonObject = {"type": "object", "properties": properties}
    if required := [one.name for one in read.values() if one.is_required]:
        whole["required"] = required
    whole["additionalProperties"] = False
    return (whole | {"$defs": shared} if shared else whole), read


def _msgspec_schemas(name: str, hints: Mapping[str, Any]) -> tuple[dict[str, JsonObject], JsonObject]:
    for parameter, hint in hints.items():
        try:
            msgspec.json.Decoder(hint)
            msgspec.json.schema_components([hint])
        except Exception as error:
            raise _untold(name, parameter, str(error).partition("\n")[0]) from error
    schemas, shared = msgspec.json.schema_components(hints.values(), ref_template=_REF)
    return dict(zip(hints, schemas, strict=True)), dict(shared)


def _pydantic_schemas(
    name: str, hints: Mapping[str, Any]
) -> tuple[dict[str, JsonObject], JsonObject, dict[str, Callable[[bytes], object]]]:
    kind = sys.modules["pydantic"].TypeAdapter
    adapters: dict[str, Any] = {}
    for parameter, hint in hints.items():
        try:
            adapters[parameter] = kind(hint)
            adapters[parameter].json_schema()
        except Exception as error:
            raise _untold(name, parameter, str(error).partition("\n")[0]) from error
    inputs = [(parameter, "validation", adapter) for parameter, adapter in adapters.items()]
    schemas, rest = kind.json_schemas(inputs, ref_template="#/$defs/{model}")
    decoders = {parameter: adapter.validate_json for parameter, adapter in adapters.items()}
    return {parameter: schemas[parameter, "validation"] for parameter in hints}, rest.get("$defs", {}), decoders


def _is_pydantic(hint: Any) -> bool:
    """Return whether only pydantic can read a type; models that stand in a struct or a dataclass are not looked for."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not hasattr(pydantic, "TypeAdapter"):
        return False
    if isinstance(hint, type) and issubclass(hint, pydantic.BaseModel):
        return True
    if get_origin(hint) is Annotated and any(_is_constraint(one) for one in hint.__metadata__):
        return True
    return any(_is_pydantic(one) for one in get_args(hint))


def _is_constraint(annotation: object) -> bool:
    return type(annotation).__module__.partition(".")[0] in ("pydantic", "annotated_types")


def _untold(name: str, parameter: str, why: str) -> ConfigError:
    return ConfigError(
        f"the parameter {parameter} of the tool {name} is of a type that JSON Schema cannot tell a model: {why}"
    )


def _default(value: object) -> JsonObject:
    """Return what a schema says of a default; nothing if JSON cannot say it."""
    try:
        return {"default": msgspec.json.decode(msgspec.json.encode(value, enc_hook=_plain))}
    except (TypeError, ValueError, RecursionError):
        return {}


def _plain(value: Any) -> object:
    """Return a pydantic model as what JSON has; it is asked for what msgspec does not know."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON")


def _fault(error: Exception) -> str:
    """Return what is wrong with an argument; of pydantic without the values, which it would repeat."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if not isinstance(error, ValueError):
        return f"it cannot be read ({type(error).__name__})"
    if not hasattr(error, "errors"):
        return str(error).replace(" - at `$", " at `$")
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    said = (f"{one['msg']} at {'.'.join(map(str, one['loc']))}" if one["loc"] else one["msg"] for one in faults)
    return ", ".join(list(said)[:_MAX_FAULTS])
