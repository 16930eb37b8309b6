"""Fixtures of the tests on real PortAudio: one private sound server per session and worker, or a skip that says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.devices.sound_server import NoSoundServer, SoundServer


def _portaudio() -> str | None:
    """Return why there is no PortAudio here; None when there is one."""
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError) as error:
        return f"{error} (apt install libportaudio2)"
    return None


@pytest.fixture(scope="session")
def sound_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    """A sound server for the whole session. Whoever needs it only for one test takes `own_sound_server`."""
    yield from _running(tmp_path_factory.mktemp("pulse"))


@pytest.fixture
def own_sound_server(tmp_path: Path) -> Iterator[SoundServer]:
    """A sound server for one test, which may kill it."""
    yield from _running(tmp_path)


@pytest.fixture
def bare_sound_server(tmp_path: Path) -> Iterator[SoundServer]:
    """A sound server for one test, without any device but the one that is plugged in."""
    yield from _running(tmp_path, is_bare=True)


def _running(folder: Path, *, is_bare: bool = False) -> Iterator[SoundServer]:
    if (why := _portaudio()) is not None:
        pytest.skip(f"no real devices: {why}")
    try:
        server = SoundServer(folder, is_bare=is_bare)
    except NoSoundServer as error:
        pytest.skip(f"no real devices: {error}")
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            from rtc_client.audio.devices.portaudio import list_devices, look_again

            look_again()
            names = {device.name for device in list_devices()}
            if "desk_microphone" not in names:
                pytest.skip("no real devices: ALSA does not reach PulseAudio (apt install libasound2-plugins)")
            yield server
    finally:
        server.stop()
