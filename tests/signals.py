"""Dispositions of signals in the processes that tests start."""

from __future__ import annotations

import signal


def restore_default_signals() -> None:
    """Undo what a process inherits from a shell's `&`, `nohup` and some build servers; for `preexec_fn`.

    These start their children with SIGINT, SIGQUIT or SIGHUP ignored, and a child keeps what its parent ignores.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
