"""`scripts/bench`: the command line of the benchmarks. Each verb's work is in the file of its name."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import sys
from pathlib import Path


def main() -> int:
    """Run what was asked for, and return the exit status."""
    options = _parser().parse_args()
    if getattr(options, "plot", None) is not None and importlib.util.find_spec("matplotlib") is None:
        say("matplotlib is not installed, so there will be no plot")
        options.plot = None
    match options.verb:
        case "media":
            return _media(options)
        case "loss":
            return _loss(options)
        case "floor":
            return _floor(options)
        case "answerer":
            return _answerer(options)
        case "soak":
            return _soak(options)
        case "events":
            return _events(options)
        case "echo":
            return _echo(options)
        case "recording":
            return _recording(options)
        case "devices":
            return _devices(options)
        case "codec":
            return _codec(options)
        case _:
            raise AssertionError(options.verb)


def say(text: str) -> None:
    """Tell how far it is, beside the result."""
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="What a call costs, and how it sounds.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    media = verbs.add_parser("media", help="processor, memory, pacing and first audio, beside plain aiortc")
    media.add_argument("--n", default="5,20", metavar="N,N", help="calls at once (default: 5,20)")
    media.add_argument("--seconds", type=float, default=5.0, metavar="S", help="length of a window (default: 5)")
    media.add_argument("--repeat", type=int, default=3, metavar="R", help="measure everything R times (default: 3)")
    media.add_argument("--spread", action="store_true", help="let the packets of each call arrive at a time of its own")
    loss = verbs.add_parser("loss", help="how calls sound over bad networks, beside plain aiortc")
    loss.add_argument("--quick", action="store_true", help="three networks, one seed, two sentences")
    floor = verbs.add_parser("floor", help="the least a call can cost here, in C, and what ours costs beside it")
    floor.add_argument("--n", default="20", metavar="N,N", help="calls at once (default: 20)")
    floor.add_argument("--seconds", type=float, default=5.0, metavar="S", help="length of a window (default: 5)")
    floor.add_argument("--repeat", type=int, default=3, metavar="R", help="measure R times (default: 3)")
    answerer = verbs.add_parser("answerer", help="what a test with the fake answerer takes")
    answerer.add_argument("--n", type=int, default=50, metavar="N", help="calls at once (default: 50)")
    answerer.add_argument("--repeat", type=int, default=20, metavar="R", help="measure R times (default: 20)")
    soak = verbs.add_parser("soak", help="one long call over a bad network: memory, delay, complaints")
    soak.add_argument("--minutes", type=float, default=10.0, metavar="M", help="how long (default: 10)")
    events = verbs.add_parser("events", help="events decoded a second, beside json.loads and the official SDK")
    events.add_argument("--seconds", type=float, default=1.0, metavar="S", help="length of a window (default: 1)")
    events.add_argument("--repeat", type=int, default=5, metavar="R", help="measure R times, in turns (default: 5)")
    echo = verbs.add_parser("echo", help="what the modes of echo control leave of the agent and of the caller")
    echo.add_argument("--seconds", type=float, default=24.0, metavar="S", help="speech in each room (default: 24)")
    echo.add_argument("--recorded", action="store_true", help="let a recorded reader be the caller")
    recording = verbs.add_parser("recording", help="what a recording adds to the cost of a call")
    recording.add_argument("--n", default="5,20", metavar="N,N", help="calls at once (default: 5,20)")
    recording.add_argument("--seconds", type=float, default=5.0, metavar="S", help="length of a window (default: 5)")
    recording.add_argument("--repeat", type=int, default=3, metavar="R", help="measure R times, in turns (default: 3)")
    devices = verbs.add_parser("devices", help="what microphone and speaker add to the delay, lose and cost")
    devices.add_argument("--seconds", type=float, default=20.0, metavar="S", help="pulses round the loop (default: 20)")
    devices.add_argument("--call", type=float, metavar="S", help="hold a call of S seconds on them instead")
    codec = verbs.add_parser("codec", help="what each way of coding a voice costs, and how it sounds")
    for verb in (media, loss, floor, answerer, soak, events, echo, recording, devices, codec):
        verb.add_argument("--json", action="store_true", help="print JSON instead of a table")
    for verb in (media, loss):
        verb.add_argument("--plot", type=Path, metavar="FILE", help="draw the result, as PNG, SVG or PDF")
    return parser


def _media(options: argparse.Namespace) -> int:
    from tests.bench import media

    sizes = sorted({int(n) for n in options.n.split(",")})
    measured = asyncio.run(
        media.measure_all(sizes, window_s=options.seconds, repeat=options.repeat, spread=options.spread, progress=say)
    )
    summary = media.summary(measured, spread=options.spread)
    rows = media.rows_of(measured)
    if options.json:
        print(json.dumps(summary, indent=2))
    else:
        print(media.table(rows))
        print()
        for key, value in summary.items():
            if key != "rows":
                print(f"{key}: {value}")
    if options.plot is not None:
        media.plot(rows, options.plot)
        say(f"wrote {options.plot}")
    return 0


def _recording(options: argparse.Namespace) -> int:
    from tests.bench import media

    sizes = sorted({int(n) for n in options.n.split(",")})
    window_s, repeat = options.seconds, options.repeat
    measured = asyncio.run(
        media.measure_all(
            sizes, window_s=window_s, repeat=repeat, spread=False, progress=say, kinds=("live", "recorded")
        )
    )
    summary = media.recording_summary(measured)
    if options.json:
        print(json.dumps(summary, indent=2))
    else:
        print(media.table(media.rows_of(measured)))
        print(f"\nadded, % of a core per call: {summary['added_cpu_percent_by_n']}")
    return 0


def _loss(options: argparse.Namespace) -> int:
    from tests.bench import loss

    _warn_of_scores()
    script = loss.script_of(3 if options.quick else None)
    rows = asyncio.run(loss.place_all(loss.cases_of(is_quick=options.quick), script, say))
    print(json.dumps(loss.as_json(rows), indent=2) if options.json else loss.table(rows))
    if options.plot is not None:
        loss.plot(rows, options.plot)
        say(f"wrote {options.plot}")
    return 0


def _warn_of_scores() -> None:
    from tests.bench import quality, speech

    if not speech.has_recordings():
        say("no recorded speech here (sudo apt install pocketsphinx-testdata): the shipped samples are spoken instead")
    if not quality.has_pesq():
        say("pesq or pystoi is not installed (pesq needs a C compiler): no scores of them")


def _codec(options: argparse.Namespace) -> int:
    from tests.bench import codec, loss

    _warn_of_scores()
    found = codec.measure(loss.script_of(), say)
    print(json.dumps(codec.as_json(found), indent=2) if options.json else codec.table(found))
    return 0


def _floor(options: argparse.Namespace) -> int:
    from tests.bench import floor, media

    found: list[dict[str, object]] = []
    try:
        with floor.Program() as program:
            for n_calls in sorted({int(n) for n in options.n.split(",")}):
                floors, ours = [], []
                for _ in range(options.repeat):
                    floors += [program.run(n_calls, options.seconds, coder) for coder in ("celt", "silk")]
                    ours += asyncio.run(
                        media.measure_all(
                            [n_calls],
                            window_s=options.seconds,
                            repeat=1,
                            spread=False,
                            progress=say,
                            kinds=("live", "bot"),
                        )
                    )
                found.append(floor.beside(floors, ours))
    except floor.FloorUnavailable as error:
        say(f"scripts/bench: {error}")
        return 2
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for one in found:
            print("\n".join(f"{key}: {value}" for key, value in one.items()), end="\n\n")
    return 0


def _answerer(options: argparse.Namespace) -> int:
    from tests.bench import speed

    found = asyncio.run(speed.measure(repeat=options.repeat, n_at_once=options.n))
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{name}: {value}" for name, value in found.items()))
    return 0


def _soak(options: argparse.Namespace) -> int:
    from tests.bench import soak

    found = soak.summary(*asyncio.run(soak.hold(options.minutes, say)))
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{name}: {value}" for name, value in found.items() if name != "looks"))
    return 1 if found["complaints"] else 0


def _events(options: argparse.Namespace) -> int:
    from tests.bench import events

    found = events.summary(repeat=options.repeat, window_s=options.seconds)
    print(json.dumps(found, indent=2) if options.json else events.table(found))
    return 0


def _echo(options: argparse.Namespace) -> int:
    from tests.bench import echo, speech

    if options.recorded and not speech.has_recordings():
        say("no recorded speech here (sudo apt install pocketsphinx-testdata): the shipped samples are spoken instead")
    rows = echo.measure(options.seconds, recorded=options.recorded, say=say)
    print(json.dumps(echo.as_json(rows), indent=2) if options.json else echo.table(rows))
    return 0


def _devices(options: argparse.Namespace) -> int:
    from rtc_client.cli.console.stdio import hush_libraries
    from tests.bench import device_call, device_loop, devices
    from tests.devices.sound_server import NoSoundServer

    hush_libraries()
    try:
        with device_loop.sound_server() as server:
            if options.call is None:
                found = asyncio.run(devices.measure(server, options.seconds, say))
                print(json.dumps(found, indent=2) if options.json else devices.table(found))
                return 0
            found = asyncio.run(device_call.hold(server, options.call, say))
    except NoSoundServer as error:
        say(f"scripts/bench: {error}")
        return 2
    found["complaints"] = device_call.complaints_of(found)
    print(json.dumps(found, indent=2) if options.json else device_call.table(found))
    for complaint in found["complaints"]:
        say(complaint)
    return 1 if found["complaints"] else 0


if __name__ == "__main__":
    sys.exit(main())
