"""`bench floor`: compiles and runs `floor.c`, the least that a call can cost on this machine."""

from __future__ import annotations

import importlib.metadata
import shutil
import statistics
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from rtc_client.config import OpusSettings
from tests.bench.answerer import far_clip
from tests.bench.media import Measured
from tests.bench.speech import endless_speech

_SOURCE: Final = Path(__file__).with_name("floor.c")
_SIGNALS: Final = {"silk": "3001", "celt": "3002"}


Coder: TypeAlias = Literal["celt", "silk"]
"""What codes the voice: as a call has it while nothing gets lost, or as libopus does by itself."""


class FloorUnavailable(Exception):
    """What it takes to compile the program is not there; the text says what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What a call costs at least, in % of a core."""

    n_calls: int
    coder: Coder
    complexity: int
    bit_rate: int
    live_percent: float
    transport_percent: float
    """Of that, all but Opus."""
    libopus: str


class Program:
    """The compiled program; `with` removes it again."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "floor"
        (Path(self._folder.name) / "speech.pcm").write_bytes(endless_speech().tobytes())
        far = b"".join(struct.pack("=H", len(packet)) + packet for packet in far_clip().packets)
        (Path(self._folder.name) / "far.opus").write_bytes(far)

    def __enter__(self) -> Program:
        """Compile it.

        Raises:
            FloorUnavailable: If a compiler or a library is missing.
        """
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise FloorUnavailable("there is no C compiler: sudo apt install gcc libc6-dev")
        opus = _bundled_libopus()
        libopus = [opus, f"-Wl,-rpath,{opus.parent}"] if opus else ["-lopus"]
        built = subprocess.run(
            [compiler, "-O2", "-o", self._path, _SOURCE, *libopus, "-lsrtp2"],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            said = built.stderr
            if "srtp" in said:
                raise FloorUnavailable("libsrtp is missing: sudo apt install libsrtp2-dev")
            if "opus" in said:
                raise FloorUnavailable("libopus is missing: sudo apt install libopus-dev")
            raise FloorUnavailable(f"floor.c could not be compiled:\n{said}")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, n_calls: int, seconds: float, coder: Coder) -> Floor:
        """Run it with the settings of a call."""
        opus = OpusSettings()
        numbers = [str(n) for n in (n_calls, seconds, opus.complexity, opus.bit_rate, _SIGNALS[coder])]
        said = subprocess.run(
            [self._path, *numbers, self._path.with_name("speech.pcm"), self._path.with_name("far.opus")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split(maxsplit=2)
        return Floor(
            n_calls=n_calls,
            coder=coder,
            complexity=opus.complexity,
            bit_rate=opus.bit_rate,
            live_percent=float(said[0]),
            transport_percent=float(said[1]),
            libopus=said[2].strip(),
        )


def beside(floors: Sequence[Floor], ours: Sequence[Measured]) -> dict[str, object]:
    """Return the medians of both, and how many times the floor ours is; all in % of a core per call."""

    def median(coder: Coder) -> float:
        return statistics.median(floor.live_percent for floor in floors if floor.coder == coder)

    live = statistics.median(m.cpu_percent for m in ours if m.kind == "live")
    bot = statistics.median(m.cpu_percent for m in ours if m.kind == "bot")
    transport = statistics.median(floor.transport_percent for floor in floors)
    return {
        "n_calls": floors[0].n_calls,
        "complexity": floors[0].complexity,
        "bit_rate": floors[0].bit_rate,
        "libopus": floors[0].libopus,
        "floor_percent": round(median("celt"), 3),
        "floor_silk_percent": round(median("silk"), 3),
        "floor_transport_percent": round(transport, 3),
        "live_percent": round(live, 3),
        "bot_percent": round(bot, 3),
        "live_ratio": round(live / median("celt"), 2),
        "live_ratio_to_silk": round(live / median("silk"), 2),
        "bot_ratio": round(bot / transport, 2),
    }


def _bundled_libopus() -> Path | None:
    """Return the libopus that the client itself uses, in the wheel of PyAV; None if there is none."""
    for file in importlib.metadata.files("av") or ():
        if file.name.startswith("libopus-") and ".so" in file.name:
            return Path(str(file.locate()))
    return None
