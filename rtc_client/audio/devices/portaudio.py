"""Lists, finds and opens sound devices by PortAudio. The only file that imports sounddevice.

Everything here blocks, and belongs into a thread (`in_thread`), except a stream's callback, which PortAudio calls in a
thread of its own. What is done with the samples is elsewhere: capture.py, playback.py.

Some builds of PortAudio write to stderr whenever something fails, and cannot be told otherwise. A library does not turn
the stderr of a process off for that, for other threads write there meanwhile: the command does it for itself.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from queue import SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.devices.selection import AudioDevice, DeviceUnavailable, Direction, channels_of, chosen
from rtc_client.clock import MonotonicClock
from rtc_client.errors import ConfigError

StreamCallback: TypeAlias = Callable[[NDArray[np.int16], float, float], None]
"""Gets a block, int16 of shape `(n, channels)`, to read or to fill; how long ago its first sample was captured, or how
soon it will be heard, in seconds; and the time, monotonic seconds. Called in PortAudio's thread; must not wait."""

PROBED_RATES_HZ: Final = (8_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000)
BLOCK_S: Final = 0.005
LATENCY_S: Final = 0.015
"""What a device is asked to hold at first: three blocks. It takes the nearest that it can do."""
_ALSA_GUESS_HZ: Final = 44_100
_ALSA_BETTER_HZ: Final = 48_000
LIMIT_S: Final = 3.0
"""What PortAudio may take for anything; where a sound server hangs, so does it."""
FIND_LIMIT_S: Final = 10.0
"""What it may take before a call, when it is set up and looks at every device."""

_INSTALL: Final = 'pip install "rtc-client[devices]"'
_INSTALL_PORTAUDIO: Final = "apt install libportaudio2 (dnf install portaudio, brew install portaudio)"
_UNAVAILABLE: Final = -9985
"""PortAudio's paDeviceUnavailable: another program has it."""

_T = TypeVar("_T")


def list_devices() -> tuple[AudioDevice, ...]:
    """Return every sound device of this machine, by index.

    Raises:
        ConfigError: sounddevice or PortAudio is not installed, or does not answer.
    """
    with _portaudio.alone():
        library = _library()
        return tuple(_at_native_rate(library, device) for device in _listed(library))


def look_again() -> None:
    """Let PortAudio see what was plugged in or out since it was set up, unless one of our streams is open.

    It forgets every stream of this process, and so is for when a device was lost.
    """
    with _portaudio.alone():
        library = _library()
        if not _portaudio.open_streams and not _portaudio.is_stuck:
            library._terminate()
            library._initialize()


def find_device(direction: Direction, wanted: int | str | None = None) -> AudioDevice:
    """Return the device that is `wanted` for a `direction`, `input` or `output`: by its index, or a part of its name.

    None is the default device. Upper and lower case are the same.
    A name that is written out wins over longer ones that contain it.

    Raises:
        ConfigError: There is no such device, or several; or what it takes is not installed.
    """
    with _portaudio.alone():
        library = _library()
        # Only this one is asked for its rate: what cannot be opened takes its time, and some builds complain of it.
        return _at_native_rate(library, chosen(direction, wanted, _listed(library)))


def usable_rates(device: AudioDevice, direction: Direction) -> tuple[int, ...]:
    """Return which of the usual sample rates the device opens at, in Hz, asked one by one."""
    rates_hz = sorted({*PROBED_RATES_HZ, device.sample_rate_hz})
    with _portaudio.alone():
        library = _library()
        return tuple(rate_hz for rate_hz in rates_hz if _refusal(library, device, direction, rate_hz) is None)


def open_stream(
    device: AudioDevice, direction: Direction, callback: StreamCallback, latency_s: float = LATENCY_S
) -> DeviceStream:
    """Return a stream of a device at its native rate, already started: `callback` gets every block.

    The device is asked to hold `latency_s` itself.

    Raises:
        DeviceUnavailable: It cannot be opened now.
    """
    stream = DeviceStream(device, direction, callback, latency_s)
    try:
        stream.start()
    except DeviceUnavailable:
        stream.close()
        raise
    return stream


class DeviceStream:
    """An open stream of a device; `open_stream` makes it."""

    def __init__(self, device: AudioDevice, direction: Direction, callback: StreamCallback, latency_s: float) -> None:
        self.device = device
        self.channels = channels_of(device, direction)
        self.n_xruns = 0
        """How often the device said that it lost samples or had none; changed by the callback."""
        self.is_over = False
        """Whether it has ended by itself; changed by PortAudio's thread."""
        self._callback = callback
        self._now_s = MonotonicClock().now_s
        rate_hz = device.sample_rate_hz
        with _portaudio.alone():
            library = _library()
            # Some devices that do not open leave PortAudio in a lock for ever when they are started.
            if (refusal := _refusal(library, device, direction, rate_hz)) is not None:
                raise refusal
            is_input = direction == "input"
            kind = library.RawInputStream if is_input else library.RawOutputStream
            try:
                self._stream = kind(
                    device=device.index,
                    samplerate=rate_hz,
                    channels=self.channels,
                    dtype="int16",
                    blocksize=round(BLOCK_S * rate_hz),
                    latency=latency_s,
                    callback=self._on_input if is_input else self._on_output,
                    finished_callback=self._on_finished,
                )
            except (library.PortAudioError, ValueError) as error:
                raise _unavailable(device, error) from error
            _portaudio.open_streams.add(self)

    @property
    def latency_s(self) -> float:
        """What the device itself holds, as it says."""
        return float(self._stream.latency)

    def start(self) -> None:
        """Let the callback be called with every block, from now on.

        Raises:
            DeviceUnavailable: The device does not start.
        """
        library = _library()
        try:
            self._stream.start()
        except library.PortAudioError as error:
            raise _unavailable(self.device, error) from error

    def close(self) -> None:
        """Stop, and let go of the device: no callback will be under way any more. Safe to call twice."""
        if self not in _portaudio.open_streams:
            return
        self._stream.abort(ignore_errors=True)
        with _portaudio.alone():
            self._stream.close(ignore_errors=True)
            _portaudio.open_streams.discard(self)

    def _on_input(self, data: Any, n_frames: int, time: Any, status: Any) -> None:
        self._on_block(data, time.currentTime - time.inputBufferAdcTime, status)

    def _on_output(self, data: Any, n_frames: int, time: Any, status: Any) -> None:
        self._on_block(data, time.outputBufferDacTime - time.currentTime, status)

    def _on_block(self, data: Any, distance_s: float, status: Any) -> None:
        if status:
            self.n_xruns += 1
        block = np.frombuffer(data, dtype=np.int16).reshape(-1, self.channels)
        self._callback(block, distance_s, self._now_s())

    def _on_finished(self) -> None:
        self.is_over = True


class _PortAudio:
    """What must be known of PortAudio as a whole: it is one per process, and not made for several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open_streams: set[DeviceStream] = set()
        self.is_stuck = False
        """Whether something that was asked of it never came to an end."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads out meanwhile.

        Raises:
            DeviceUnavailable: One of them does not come out again.
        """
        if not self._lock.acquire(timeout=LIMIT_S):
            self.is_stuck = True
            raise DeviceUnavailable("the sound system of this machine does not answer", is_busy=False)
        try:
            yield
        finally:
            self._lock.release()

    def give_up(self) -> None:
        """Take note that it hangs: it is not tidied up when the process ends, for that would hang as well."""
        self.is_stuck = True
        # Not imported here: what hangs may be the import itself, and whoever imports then waits for it.
        exit_handler = getattr(sys.modules.get("sounddevice"), "_exit_handler", None)
        if exit_handler is not None:
            atexit.unregister(exit_handler)


_portaudio = _PortAudio()


async def in_thread(
    work: Callable[[], _T], name: str, *, undo: Callable[[_T], object] | None = None, limit_s: float = LIMIT_S
) -> _T:
    """Return what `work` returns, run in a thread of its own, which does not keep the process from ending.

    Raises:
        DeviceUnavailable: It took more than `limit_s`. Cancelled, or then, it goes on by itself, and its outcome
            is undone, in the same thread.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()
    # The thread keeps its outcome until it knows whether anybody took it: a task may be cancelled when
    # the result is already on its way to it.
    is_taken: SimpleQueue[bool] = SimpleQueue()

    def tell(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            _call(loop, tell, None, error)
            return
        _call(loop, tell, result, None)
        if undo is not None and not is_taken.get():
            undo(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    taken = False
    try:
        async with asyncio.timeout(limit_s):
            result = await done
        taken = True
        return result
    except TimeoutError:
        _portaudio.give_up()
        raise DeviceUnavailable("the sound system of this machine does not answer", is_busy=False) from None
    finally:
        is_taken.put(taken)


def _call(loop: asyncio.AbstractEventLoop, *call: Any) -> None:
    with suppress(RuntimeError):  # the loop has been closed meanwhile
        loop.call_soon_threadsafe(*call)


def _library() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise ConfigError(f"microphone and speaker need the library sounddevice: {_INSTALL}") from error
    except OSError as error:
        raise ConfigError(f"microphone and speaker need PortAudio: {_INSTALL_PORTAUDIO}") from error
    _hush()
    return sounddevice


@cache
def _hush() -> object:
    """Let ALSA say nothing on stderr, where it tells of everything that it tried in vain; return what keeps it so.

    What matters of it comes as an error, or as a stream that ends.
    """
    with suppress(OSError, AttributeError):  # a system without ALSA
        # The variable arguments after the format are not read.
        kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
        say_nothing = kind(lambda file, line, function, code, text: None)
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(say_nothing)
        return say_nothing
    return None


def _refusal(library: Any, device: AudioDevice, direction: Direction, rate_hz: int) -> DeviceUnavailable | None:
    check = library.check_input_settings if direction == "input" else library.check_output_settings
    try:
        check(device=device.index, channels=channels_of(device, direction), dtype="int16", samplerate=rate_hz)
    except (library.PortAudioError, ValueError) as error:
        return _unavailable(device, error)
    return None


def _listed(library: Any) -> list[AudioDevice]:
    """Return every device as PortAudio tells it."""
    apis = library.query_hostapis()
    default_input, default_output = library.default.device
    if default_input < 0:
        default_input = next((api["default_input_device"] for api in apis if api["default_input_device"] >= 0), -1)
    if default_output < 0:
        default_output = next((api["default_output_device"] for api in apis if api["default_output_device"] >= 0), -1)
    return [
        AudioDevice(
            index=index,
            name=device["name"],
            host_api=apis[device["hostapi"]]["name"],
            input_channels=device["max_input_channels"],
            output_channels=device["max_output_channels"],
            sample_rate_hz=round(device["default_samplerate"]),
            is_default_input=index == default_input,
            is_default_output=index == default_output,
        )
        for index, device in enumerate(library.query_devices())
    ]


def _at_native_rate(library: Any, device: AudioDevice) -> AudioDevice:
    """Return the device with its native rate, which PortAudio does not know of ALSA's.

    It names 44.1 kHz for whatever opens at that. What opens at 48 kHz as well is at home there nowadays: cards are, and
    sound servers; and a sound server that has to resample loses samples without end at small latencies.
    """
    if device.host_api != "ALSA" or device.sample_rate_hz != _ALSA_GUESS_HZ:
        return device
    direction: Direction = "output" if device.output_channels else "input"
    refused = _refusal(library, device, direction, _ALSA_BETTER_HZ)
    if refused is not None and direction == "output" and device.input_channels:
        refused = _refusal(library, device, "input", _ALSA_BETTER_HZ)
    return device if refused is not None else replace(device, sample_rate_hz=_ALSA_BETTER_HZ)


def _unavailable(device: AudioDevice, error: Exception) -> DeviceUnavailable:
    code = error.args[1] if len(error.args) > 1 else None
    return DeviceUnavailable(f"{device.name}: {error.args[0] if error.args else error}", is_busy=code == _UNAVAILABLE)
