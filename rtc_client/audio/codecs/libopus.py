"""Finds libopus and its functions by ctypes, at first use."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import av

from rtc_client.audio.codecs.opus_packet import OpusError
from rtc_client.errors import OpusUnavailable

_STATE, _ADDRESS, _INT, _INT32 = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int32
_FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "opus_encoder_get_size": (_INT, (_INT,)),
    "opus_encoder_init": (_INT, (_STATE, _INT32, _INT, _INT)),
    "opus_encode": (_INT32, (_STATE, _ADDRESS, _INT, _ADDRESS, _INT32)),
    # Variadic. Where the rest of the arguments travels otherwise, ctypes must know which ones are not of the rest.
    "opus_encoder_ctl": (_INT, (_STATE, _INT)),
    "opus_decoder_get_size": (_INT, (_INT,)),
    "opus_decoder_init": (_INT, (_STATE, _INT32, _INT)),
    "opus_decode": (_INT, (_STATE, ctypes.c_char_p, _INT32, _ADDRESS, _INT, _INT)),
    "opus_decoder_ctl": (_INT, (_STATE, _INT)),
    "opus_strerror": (ctypes.c_char_p, (_INT,)),
    "opus_get_version_string": (ctypes.c_char_p, ()),
}


def libopus_version() -> str:
    """Return what libopus calls itself, for example "libopus 1.6.1"; the way to learn early whether there is one.

    Raises:
        OpusUnavailable: If no usable libopus is found.
    """
    version: bytes = libopus().opus_get_version_string()
    return version.decode()


@cache
def libopus() -> ctypes.CDLL:
    """Return libopus, with the types of the functions that are needed set.

    Raises:
        OpusUnavailable: If no usable libopus is found.
    """
    faults = []
    for name in candidates():
        try:
            lib = ctypes.CDLL(name)
            for symbol, (result_type, argument_types) in _FUNCTIONS.items():
                function = getattr(lib, symbol)
                function.restype, function.argtypes = result_type, argument_types
        except (OSError, AttributeError) as error:
            faults.append(str(error))
        else:
            return lib
    raise OpusUnavailable("; ".join(faults) or "none was found")


def candidates() -> Iterator[str]:
    """Yield what may be loaded: the copy that PyAV brings along on Linux and Windows, on macOS, the system's."""
    package = Path(av.__file__).parent
    for folder in (package.parent / "av.libs", package / ".dylibs"):
        yield from sorted(str(path) for path in folder.glob("libopus[-.]*"))
    system = ctypes.util.find_library("opus")
    if system is not None:
        yield system


def checked(result: int) -> int:
    """Return what a function of libopus returned.

    Raises:
        OpusError: If it is an error.
    """
    if result < 0:
        text: bytes = libopus().opus_strerror(result)
        raise OpusError(f"libopus refused: {text.decode()}")
    return result
