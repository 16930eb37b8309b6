"""Promises of choosing a device: by index or part of the name, and one line that lists what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtc_client import AudioDevice, ConfigError
from rtc_client.audio.devices.selection import chosen
from tests.cli.command import run

pytestmark = pytest.mark.programs


def device(index: int, name: str, *, inputs: int = 0, outputs: int = 0, default: bool = False) -> AudioDevice:
    return AudioDevice(
        index=index,
        name=name,
        host_api="ALSA",
        input_channels=inputs,
        output_channels=outputs,
        sample_rate_hz=48_000,
        is_default_input=default and inputs > 0,
        is_default_output=default and outputs > 0,
    )


DEVICES = (
    device(0, "HDA Intel: Analog (hw:0,0)", inputs=2, outputs=2),
    device(1, "USB Headset: Audio (hw:1,0)", inputs=1, outputs=2),
    device(2, "USB Headset", inputs=1),
    device(3, "Monitor: HDMI", outputs=8),
    device(4, "default", inputs=32, outputs=32, default=True),
)


@pytest.mark.parametrize(
    ("wanted", "index"), [(None, 4), (1, 1), ("1", 1), ("intel", 0), (" ANALOG ", 0), ("usb headset", 2), ("hw:1", 1)]
)
def test_a_microphone_is_found(wanted: int | str | None, index: int) -> None:
    """By nothing, its index, any part of its name; a name that is written out wins over longer ones."""
    assert chosen("input", wanted, DEVICES).index == index


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("trumpet", "there is no speaker 'trumpet': choose one of 0 HDA Intel: Analog (hw:0,0); 1 USB Headset: Audio"),
        (2, "there is no speaker 2: choose one of"),
        ("h", "speaker 'h' may be any of 0 HDA Intel: Analog (hw:0,0); 1 USB Headset: Audio (hw:1,0); 3 Monitor: HDMI"),
    ],
)
def test_what_is_unknown_or_ambiguous_is_told_with_what_there_is(wanted: int | str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        chosen("output", wanted, DEVICES)

    assert str(raised.value).startswith(message)


def test_a_machine_without_any_is_told_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"this machine has no microphone: connect one, or .*apt install"):
        chosen("input", None, (DEVICES[3],))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("raise ModuleNotFoundError('sounddevice')", 'need the library sounddevice: pip install "rtc-client[devices]"'),
        ("raise OSError('PortAudio library not found')", "need PortAudio: apt install libportaudio2"),
    ],
)
async def test_what_is_not_installed_is_told_on_one_line(module: str, message: str, tmp_path: Path) -> None:
    """Before the call, with status 2, and what to install."""
    (tmp_path / "sounddevice.py").write_text(module)
    finished = await run(
        "call", "--in", "mic", "--base-url", "http://127.0.0.1:9/v1", env={"PYTHONPATH": str(tmp_path)}
    )

    (line,) = finished.lines
    assert (finished.status, line.partition(" (")[0]) == (2, f"rtc-client: microphone and speaker {message}")
