"""A private PulseAudio: own folder, own socket, no sound card, no system bus, nothing of the user's.

Its devices are real to PortAudio, which reaches them by ALSA:

    tests ──pacat──▶ sink `room` ──monitor──▶ source `mic` ──▶ PortAudio's `desk_microphone` and `default`
    tests ◀─parec─── monitor of `ear` ◀── sink `ear` ◀─────── PortAudio's `desk_speaker` and `default`

`loop_speaker` plays into the room, so that the microphone hears it. `spare_speaker` and `spare_microphone` are of a
module that tests load and unload: a device that is plugged in and pulled out.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples

PROGRAMS: Final = ("pulseaudio", "pactl", "pacat", "parec")
START_S: Final = 10.0

_DOOR: Final = "load-module module-native-protocol-unix socket={socket} auth-anonymous=1\n"
_ROOM: Final = """
load-module module-null-sink sink_name=ear rate=48000 channels=2
load-module module-null-sink sink_name=room rate=48000 channels=2
load-module module-remap-source source_name=mic master=room.monitor channels=1 remix=yes
set-default-sink ear
set-default-source mic
"""
_ALSA: Final = """
pcm.!default { type pulse }
pcm.desk_speaker { type pulse device "ear" }
pcm.loop_speaker { type pulse device "room" }
pcm.desk_microphone { type pulse device "mic" }
pcm.spare_speaker { type pulse device "spare" }
pcm.spare_microphone { type pulse device "spare.monitor" }
"""


class NoSoundServer(Exception):
    """PulseAudio cannot be started here; the message says why."""


class SoundServer:
    """A PulseAudio of its own, in `folder`; one that `is_bare` has no device of its own. `stop` ends it."""

    def __init__(self, folder: Path, *, is_bare: bool = False) -> None:
        if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
            raise NoSoundServer(f"not installed: {', '.join(missing)} (apt install pulseaudio pulseaudio-utils)")
        self.folder = folder
        self._socket = folder / "native"
        self._log = folder / "pulseaudio.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._listeners: list[subprocess.Popen[bytes]] = []
        self._monitors = () if is_bare else ("ear.monitor", "room.monitor")
        (folder / "default.pa").write_text(_DOOR.format(socket=self._socket) + ("" if is_bare else _ROOM))
        (folder / "asound.conf").write_text(_ALSA)
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it, and nothing else that makes sound."""
        return {
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(self.folder / "cookie"),
            "PULSE_RUNTIME_PATH": str(self.folder / "runtime"),
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
        }

    @property
    def pid(self) -> int:
        """Its process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return once it answers and its devices are awake."""
        hidden = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "PULSE_SERVER")
        inherited = {name: value for name, value in os.environ.items() if name not in hidden}
        own = {"HOME": self.folder, "XDG_RUNTIME_DIR": self.folder, "PULSE_STATE_PATH": self.folder / "state"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "pulseaudio", "-n", "-F", self.folder / "default.pa", "--daemonize=no", "--exit-idle-time=-1",
                    "--use-pid-file=no", "--disable-shm=yes", "--realtime=no", "--high-priority=no",
                ],
                env=inherited | {name: str(value) for name, value in own.items()} | self.environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline_s = time.monotonic() + START_S
        while self._ask("info").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise NoSoundServer(f"pulseaudio does not start: {self._log.read_text()[-500:]}")
            time.sleep(0.02)
        self._keep_awake(*self._monitors)

    def stop(self, *, brutally: bool = False) -> None:
        """End it, and whoever listens to it. With `brutally` it has no time to tell anybody."""
        process, self._process = self._process, None
        for listener in self._listeners:
            listener.kill()
            listener.wait()
        self._listeners.clear()
        if process is not None:
            process.send_signal(signal.SIGKILL if brutally else signal.SIGTERM)
            process.wait(timeout=10)

    def tell(self, *command: str) -> str:
        """Run `pactl` with a command, and return what it prints."""
        done = self._ask(*command)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout.strip()

    def plug_in_spare(self) -> str:
        """Plug in the spare speaker, whose monitor is the spare microphone; return what `pull_out` takes."""
        module = self.tell("load-module", "module-null-sink", "sink_name=spare", "rate=48000", "channels=2")
        self._keep_awake("spare.monitor")
        return module

    def pull_out(self, module: str) -> None:
        """Pull out a device, in the midst of whatever it does."""
        self.tell("unload-module", module)

    @contextmanager
    def saying(self, samples: Samples, sink: str = "room") -> Iterator[Said]:
        """Let these samples, int16 mono at `SAMPLE_RATE_HZ`, be heard in the room, from the start of the block on."""
        path = self.folder / f"said-{time.monotonic_ns()}.raw"
        path.write_bytes(samples.tobytes() + bytes(SAMPLE_RATE_HZ))  # half a second in which all of it arrives
        raw = ("--raw", "--format=s16le", "--channels=1", f"--rate={SAMPLE_RATE_HZ}", "--latency-msec=20")
        with path.open("rb") as file:
            player = self._stream("pacat", "-p", "-d", sink, *raw, stdin=file)
        try:
            yield Said(player)
        finally:
            player.kill()
            player.wait()

    @contextmanager
    def listening(self, monitor: str = "ear.monitor") -> Iterator[Heard]:
        """Record what a monitor hears while the block runs; `Heard.samples` afterwards."""
        heard = Heard(self.folder / f"heard-{time.monotonic_ns()}.raw")
        raw = ("--raw", "--format=s16le", "--channels=1", f"--rate={SAMPLE_RATE_HZ}", "--latency-msec=10")
        with heard.path.open("wb") as file:
            recorder = self._stream("parec", "-d", monitor, *raw, stdout=file)
        try:
            heard.wait_begun()
            yield heard
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait(timeout=10)

    def _keep_awake(self, *monitors: str) -> None:
        """Listen to monitors: a null sink without a listener sleeps for up to two seconds, as no sound card does."""
        self._listeners += [self._stream("parec", "-d", monitor, "--latency-msec=10") for monitor in monitors]
        with ExitStack() as stack:
            for heard in [stack.enter_context(self.listening(monitor)) for monitor in monitors]:
                heard.wait_begun(SAMPLE_RATE_HZ // 5)

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | self.environment
        return subprocess.run(
            ["pactl", *command], env=environment, capture_output=True, text=True, check=False, timeout=10
        )

    def _stream(
        self, *command: str, stdin: object = subprocess.DEVNULL, stdout: object = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        environment = os.environ | self.environment
        return subprocess.Popen(command, env=environment, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL)  # type: ignore[call-overload,no-any-return]


class Said:
    """What is being said."""

    def __init__(self, player: subprocess.Popen[bytes]) -> None:
        self._player = player

    async def over(self) -> None:
        """Return once all of it was said."""
        async with asyncio.timeout(START_S):
            await asyncio.to_thread(self._player.wait)


class Heard:
    """What was recorded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wait_begun(self, n_samples: int = 1) -> None:
        """Return once so much was recorded."""
        deadline_s = time.monotonic() + START_S
        while self.path.stat().st_size < 2 * n_samples:
            assert time.monotonic() < deadline_s, "nothing is recorded"
            time.sleep(0.01)

    @property
    def samples(self) -> Samples:
        """What was heard so far: int16 mono at `SAMPLE_RATE_HZ`."""
        pcm = self.path.read_bytes()
        return np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype=np.int16)
