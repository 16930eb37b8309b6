"""`bench media`: what a call costs, ours and plain aiortc's, in turns within one run, against the same far side."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, get_args

import psutil

from tests.bench.client import KINDS, Kind

ROOT: Final = Path(__file__).parents[2]
SETTLE_S: Final = 2.0
LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One process with `n_calls` calls, once."""

    kind: Kind
    n_calls: int
    cpu_percent: float
    """Of one core, per call: user and system time of all threads, seen from outside."""
    rss_mb: float
    threads: int
    p99_lateness_ms: float
    max_lateness_ms: float
    first_audio_ms: float
    """From connected to the first sample that is not zero, median over the calls; for `bot`, to the first packet."""
    heard_ratio: float
    """Frames that came out, of those that should have."""
    answerer_percent: float
    """What the far side cost in the meantime, per call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Median over the repetitions, with the range of the cost."""

    kind: Kind
    n_calls: int
    cpu_percent: float
    cpu_min: float
    cpu_max: float
    rss_mb: float
    threads: int
    p99_lateness_ms: float
    max_lateness_ms: float
    first_audio_ms: float
    heard_ratio: float


async def measure_all(
    sizes: Sequence[int],
    *,
    window_s: float,
    repeat: int,
    spread: bool,
    progress: Callable[[str], None],
    kinds: Sequence[Kind] = KINDS,
) -> list[Measured]:
    """Measure these kinds at every size, `repeat` times, one right after the other."""
    answerer = await _start("tests.bench.answerer", *(["--spread"] if spread else []))
    try:
        port = int(await _line(answerer))
        done: list[Measured] = []
        plan = [(kind, n) for _ in range(repeat) for n in sizes for kind in kinds]
        for number, (kind, n_calls) in enumerate(plan, 1):
            progress(f"{number}/{len(plan)} {kind}, {n_calls} calls")
            done.append(await _measure(kind, n_calls, port, psutil.Process(answerer.pid), window_s))
        return done
    finally:
        await _stop(answerer)


async def _measure(kind: Kind, n_calls: int, port: int, answerer: psutil.Process, window_s: float) -> Measured:
    client = await _start("tests.bench.client", kind, str(n_calls), f"http://127.0.0.1:{port}/v1")
    try:
        first_audio_ms = json.loads(await _line(client))["first_audio_ms"]
        process = psutil.Process(client.pid)
        await asyncio.sleep(SETTLE_S)
        await asyncio.to_thread(_lateness, port)
        before = await _ask(client)
        begun_s, cpu_s, answerer_s = asyncio.get_running_loop().time(), _cpu_s(process), _cpu_s(answerer)
        await asyncio.sleep(window_s)
        took_s = asyncio.get_running_loop().time() - begun_s
        cpu_s, answerer_s = _cpu_s(process) - cpu_s, _cpu_s(answerer) - answerer_s
        after = await _ask(client)
        rss_mb, threads = process.memory_info().rss / 2**20, process.num_threads()
        late = await asyncio.to_thread(_lateness, port)
    finally:
        await _stop(client)
    n_heard = sum(b - a for a, b in zip(before["n_heard"], after["n_heard"], strict=True))
    return Measured(
        kind=kind,
        n_calls=n_calls,
        cpu_percent=100 * cpu_s / took_s / n_calls,
        rss_mb=rss_mb,
        threads=threads,
        p99_lateness_ms=late.get("p99", float("nan")),
        max_lateness_ms=late.get("max", float("nan")),
        first_audio_ms=statistics.median(first_audio_ms) if first_audio_ms else float("nan"),
        heard_ratio=n_heard / (took_s * 50 * n_calls),
        answerer_percent=100 * answerer_s / took_s / n_calls,
    )


def rows_of(measured: Sequence[Measured]) -> list[Row]:
    """Return the medians, by size and kind."""
    rows = []
    for n_calls in sorted({m.n_calls for m in measured}):
        for kind in get_args(Kind):
            these = [m for m in measured if (m.kind, m.n_calls) == (kind, n_calls)]
            if these:
                rows.append(_row(kind, n_calls, these))
    return rows


def _row(kind: Kind, n_calls: int, these: Sequence[Measured]) -> Row:
    def median(name: str) -> float:
        return float(statistics.median(getattr(m, name) for m in these))

    costs = [m.cpu_percent for m in these]
    return Row(
        kind=kind,
        n_calls=n_calls,
        cpu_percent=median("cpu_percent"),
        cpu_min=min(costs),
        cpu_max=max(costs),
        rss_mb=median("rss_mb"),
        threads=round(median("threads")),
        p99_lateness_ms=median("p99_lateness_ms"),
        max_lateness_ms=median("max_lateness_ms"),
        first_audio_ms=median("first_audio_ms"),
        heard_ratio=median("heard_ratio"),
    )


def summary(measured: Sequence[Measured], *, spread: bool) -> dict[str, Any]:
    """Return the figures that the goals are about, and the rows they come from."""
    rows = rows_of(measured)
    at = {(row.kind, row.n_calls): row for row in rows}
    sizes = sorted({row.n_calls for row in rows})
    main = 20 if 20 in sizes else sizes[-1]
    least = sizes[0]

    def ratio(kind: Kind, n_calls: int) -> float:
        """Median over the repetitions of shipped live to ours, each from neighbours in time."""
        shipped = [m.cpu_percent for m in measured if (m.kind, m.n_calls) == ("shipped", n_calls)]
        ours = [m.cpu_percent for m in measured if (m.kind, m.n_calls) == (kind, n_calls)]
        return round(statistics.median(s / max(o, 1e-9) for s, o in zip(shipped, ours, strict=True)), 2)

    def mb_per_call(kind: Kind) -> float | None:
        if main == least:
            return None
        return round((at[kind, main].rss_mb - at[kind, least].rss_mb) / (main - least), 3)

    return {
        "cpu_ratio_full": ratio("live", main),
        "cpu_ratio_bot": ratio("bot", main),
        "cpu_ratio_full_by_n": {str(n): ratio("live", n) for n in sizes},
        "cpu_ratio_bot_by_n": {str(n): ratio("bot", n) for n in sizes},
        "mb_per_call": mb_per_call("live"),
        "mb_per_call_by_kind": {kind: mb_per_call(kind) for kind in KINDS},
        "p99_lateness_ms": round(at["live", main].p99_lateness_ms, 2),
        "p99_lateness_ms_by_n": {str(n): round(at["live", n].p99_lateness_ms, 2) for n in sizes},
        "first_audio_ms": round(at["live", main].first_audio_ms, 1),
        "live_cpu_percent": round(at["live", main].cpu_percent, 3),
        "arrivals": "spread" if spread else "burst",
        "rows": [asdict(row) for row in rows],
    }


def recording_summary(measured: Sequence[Measured]) -> dict[str, Any]:
    """Return what a recording adds to a call, median over the repetitions, and the rows it comes from."""
    added = {}
    for n_calls in sorted({m.n_calls for m in measured}):
        live, recorded = (
            [m.cpu_percent for m in measured if (m.kind, m.n_calls) == (kind, n_calls)] for kind in ("live", "recorded")
        )
        added[str(n_calls)] = round(
            statistics.median(more - less for more, less in zip(recorded, live, strict=True)), 2
        )
    return {"added_cpu_percent_by_n": added, "rows": [asdict(row) for row in rows_of(measured)]}


def table(rows: Sequence[Row]) -> str:
    """Return the rows for people."""
    lines = [
        f"{'':8} {'calls':>5} {'CPU % of a core per call':>26} {'RSS MB':>7} {'threads':>7} "
        f"{'lateness p99 / max ms':>22} {'first audio ms':>14} {'heard %':>8}"
    ]
    lines += [
        f"{row.kind:8} {row.n_calls:5} {row.cpu_percent:10.2f} ({row.cpu_min:5.2f} - {row.cpu_max:5.2f}) "
        f"{row.rss_mb:7.1f} {row.threads:7} {row.p99_lateness_ms:13.1f} / {row.max_lateness_ms:6.1f} "
        f"{row.first_audio_ms:14.0f} {100 * row.heard_ratio:8.1f}"
        for row in rows
    ]
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw cost and lateness by the number of calls."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    cost, late = figure.subplots(1, 2)
    for kind in KINDS:
        these = [row for row in rows if row.kind == kind]
        sizes = [row.n_calls for row in these]
        around = [
            [row.cpu_percent - row.cpu_min for row in these],
            [row.cpu_max - row.cpu_percent for row in these],
        ]
        cost.errorbar(sizes, [row.cpu_percent for row in these], yerr=around, marker="o", capsize=3, label=kind)
        late.plot(sizes, [row.p99_lateness_ms for row in these], marker="o", label=kind)
    cost.set(xlabel="calls", ylabel="% of a core per call", yscale="log", title="what a call costs")
    late.set(xlabel="calls", ylabel="p99, ms", ylim=(0, None), title="how late packets leave")
    cost.legend()
    figure.savefig(path, dpi=120)


async def _start(module: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(15):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_S):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError("a process of the benchmark ended early; see above")
    return line.decode()


async def _ask(client: asyncio.subprocess.Process) -> Any:
    assert client.stdin is not None
    client.stdin.write(b"\n")
    return json.loads(await _line(client))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _lateness(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/lateness", timeout=10) as response:
        answer: dict[str, float] = json.load(response)
        return answer
