"""Sound hardware by PortAudio: what there is, finding one by name, opening a stream. Only this file knows sounddevice.

Everything here blocks, and belongs into a thread (`in_thread`), except a stream's callback, which PortAudio calls in a
thread of its own. What is done with the samples is elsewhere: capture.py, playback.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from rtc_client.clock import MonotonicClock
from rtc_client.errors import ConfigError

Direction: TypeAlias = Literal["input", "output"]
StreamCallback: TypeAlias = Callable[[NDArray[np.int16], float, float], None]
"""Gets a block, int16 of shape `(n, channels)`, to read or to fill; how long ago its first sample was captured, or how
soon it will be heard, in seconds; and the time, monotonic seconds. Called in PortAudio's thread; must not wait."""

PROBED_RATES_HZ: Final = (8_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000)
MAX_CHANNELS: Final = 2
"""A voice needs no more; sound servers claim to have 32 or 64."""
BLOCK_S: Final = 0.005
LATENCY_S: Final = 0.01
"""What the device is asked to hold: two blocks. It takes the nearest that it can do."""

_NAMES: Final[dict[Direction, str]] = {"input": "microphone", "output": "speaker"}
_INSTALL: Final = 'pip install "rtc-client[devices]"'
_INSTALL_PORTAUDIO: Final = "apt install libportaudio2 (dnf install portaudio, brew install portaudio)"
_UNAVAILABLE: Final = -9985
"""PortAudio's paDeviceUnavailable: another program has it."""

# PortAudio is not made for several threads at once, and forgets its streams when it looks for devices anew.
_lock = threading.RLock()
_open_streams: set[DeviceStream] = set()

_T = TypeVar("_T")


class DeviceUnavailable(Exception):
    """A device cannot be opened now, and perhaps later; `is_busy` when another program has it.

    It never leaves this library: a call goes on without its device.
    """

    def __init__(self, message: str, *, is_busy: bool) -> None:
        super().__init__(message)
        self.is_busy = is_busy


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDevice:
    """A sound device, as PortAudio tells it."""

    index: int
    """PortAudio's number of it, which changes when devices come and go."""
    name: str
    """As the system calls it."""
    host_api: str
    """By which of the system's interfaces: `ALSA`, `Core Audio`, …"""
    input_channels: int
    """How many can be captured; 0 for none."""
    output_channels: int
    """How many can be played; 0 for none."""
    sample_rate_hz: int
    """Its native rate."""
    is_default_input: bool
    """Whether it is the microphone when none is named."""
    is_default_output: bool
    """Whether it is the speaker when none is named."""

    def channels(self, direction: Direction) -> int:
        """Return how many channels it has in `direction`, `input` or `output`; 0 for none."""
        return self.input_channels if direction == "input" else self.output_channels

    def is_default(self, direction: Direction) -> bool:
        """Return whether it is what is used in `direction`, `input` or `output`, when no device is named."""
        return self.is_default_input if direction == "input" else self.is_default_output


def list_devices() -> tuple[AudioDevice, ...]:
    """Return every sound device of this machine, by index.

    Raises:
        ConfigError: sounddevice or PortAudio is not installed.
    """
    with _lock:
        return _listed(_library())


def look_again() -> None:
    """Let PortAudio see what was plugged in or out since it was set up, unless one of our streams is open.

    It forgets every stream of this process, and so is for when a device was lost.
    """
    with _lock:
        library = _library()
        if not _open_streams:
            library._terminate()
            library._initialize()


def find_device(direction: Direction, wanted: int | str | None = None) -> AudioDevice:
    """Return the device that is `wanted` for a `direction`, `input` or `output`: by its index, or a part of its name.

    None is the default device. Upper and lower case are the same.

    A name that is written out wins over longer ones that contain it.

    Raises:
        ConfigError: There is no such device, or several; or what it takes is not installed.
    """
    return chosen(direction, wanted, list_devices())


def chosen(direction: Direction, wanted: int | str | None, devices: Sequence[AudioDevice]) -> AudioDevice:
    """Return which of `devices` is meant, as `find_device` does."""
    kind = _NAMES[direction]
    usable = [device for device in devices if device.channels(direction)]
    if not usable:
        raise ConfigError(
            f"this machine has no {kind}: connect one, or where there is a sound server, give it to ALSA "
            "(apt install libasound2-plugins)"
        )
    there_is = "; ".join(f"{device.index} {device.name}" for device in usable)
    if wanted is None:
        found = [device for device in usable if device.is_default(direction)] or usable[:1]
    elif isinstance(wanted, int) or wanted.strip().isdecimal():
        found = [device for device in usable if device.index == int(wanted)]
    else:
        name = wanted.strip().casefold()
        found = [device for device in usable if name in device.name.casefold()]
        found = [device for device in found if device.name.casefold() == name][:1] or found
    if not found:
        raise ConfigError(f"there is no {kind} {wanted!r}: choose one of {there_is}")
    if len(found) > 1:
        names = "; ".join(f"{device.index} {device.name}" for device in found)
        raise ConfigError(f"{kind} {wanted!r} may be any of {names}: give the index, or more of the name")
    return found[0]


def usable_rates(device: AudioDevice, direction: Direction) -> tuple[int, ...]:
    """Return which of the usual sample rates the device opens at, asked one by one."""
    with _lock:
        library = _library()
        check = library.check_input_settings if direction == "input" else library.check_output_settings
        channels = min(MAX_CHANNELS, device.channels(direction))
        usable = []
        for rate_hz in sorted({*PROBED_RATES_HZ, device.sample_rate_hz}):
            try:
                check(device=device.index, channels=channels, dtype="int16", samplerate=rate_hz)
            except (library.PortAudioError, ValueError):
                continue
            usable.append(rate_hz)
        return tuple(usable)


class DeviceStream:
    """An open stream of a device, at its native rate. Not yet started.

    Raises:
        DeviceUnavailable: It cannot be opened.
    """

    def __init__(self, device: AudioDevice, direction: Direction) -> None:
        self.device = device
        self.rate_hz = device.sample_rate_hz
        self.channels = min(MAX_CHANNELS, device.channels(direction))
        self.n_xruns = 0
        """How often the device said that it lost samples or had none; changed by the callback."""
        self.is_over = False
        """Whether it has ended by itself; changed by PortAudio's thread."""
        self._is_input = direction == "input"
        self._callback: StreamCallback | None = None
        self._now_s = MonotonicClock().now_s
        with _lock:
            library = _library()
            kind = library.RawInputStream if self._is_input else library.RawOutputStream
            try:
                self._stream = kind(
                    device=device.index,
                    samplerate=self.rate_hz,
                    channels=self.channels,
                    dtype="int16",
                    blocksize=round(BLOCK_S * self.rate_hz),
                    latency=LATENCY_S,
                    callback=self._on_input if self._is_input else self._on_output,
                    finished_callback=self._on_finished,
                )
            except (library.PortAudioError, ValueError) as error:
                raise _unavailable(device, error) from error
            _open_streams.add(self)

    @property
    def latency_s(self) -> float:
        """What the device itself holds, as it says."""
        return float(self._stream.latency)

    def start(self, callback: StreamCallback) -> None:
        """Let `callback` be called with every block, from now on.

        Raises:
            DeviceUnavailable: The device does not start.
        """
        self._callback = callback
        with _lock:
            library = _library()
            try:
                self._stream.start()
            except library.PortAudioError as error:
                raise _unavailable(self.device, error) from error

    def close(self) -> None:
        """Stop, and let go of the device: no callback will be under way any more. Safe to call twice."""
        with _lock:
            if self in _open_streams:
                self._stream.close(ignore_errors=True)
                _open_streams.discard(self)
        # What the callback holds on to need not live as long as this.
        self._callback = None

    def _on_input(self, data: Any, n_frames: int, time: Any, status: Any) -> None:
        self._on_block(data, time.currentTime - time.inputBufferAdcTime, status)

    def _on_output(self, data: Any, n_frames: int, time: Any, status: Any) -> None:
        self._on_block(data, time.outputBufferDacTime - time.currentTime, status)

    def _on_block(self, data: Any, distance_s: float, status: Any) -> None:
        if status:
            self.n_xruns += 1
        if self._callback is not None:
            block = np.frombuffer(data, dtype=np.int16).reshape(-1, self.channels)
            self._callback(block, distance_s, self._now_s())

    def _on_finished(self) -> None:
        self.is_over = True


async def in_thread(work: Callable[[], _T], name: str) -> _T:
    """Return what `work` returns, run in a thread of its own, for PortAudio may hang where a sound server does.

    Such a thread does not keep the process from ending. Cancelling it lets the thread go on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def tell(result: _T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


def _library() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise ConfigError(f"microphone and speaker need the library sounddevice: {_INSTALL}") from error
    except OSError as error:
        raise ConfigError(f"microphone and speaker need PortAudio: {_INSTALL_PORTAUDIO}") from error
    return sounddevice


def _listed(library: Any) -> tuple[AudioDevice, ...]:
    apis = library.query_hostapis()
    default_input, default_output = library.default.device
    if default_input < 0:
        default_input = next((api["default_input_device"] for api in apis if api["default_input_device"] >= 0), -1)
    if default_output < 0:
        default_output = next((api["default_output_device"] for api in apis if api["default_output_device"] >= 0), -1)
    return tuple(
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
    )


def _unavailable(device: AudioDevice, error: Exception) -> DeviceUnavailable:
    code = error.args[1] if len(error.args) > 1 else None
    return DeviceUnavailable(f"{device.name}: {error.args[0] if error.args else error}", is_busy=code == _UNAVAILABLE)
