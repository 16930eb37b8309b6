"""TargetDelayEstimator: how long playout has to wait, from how irregularly packets arrive.

The transit time of a packet is when it arrived less where its sound belongs. Sender and receiver share no clock, so the
value says nothing; its difference to the fastest packet of the last seconds is the time this packet spent in queues:
its *relative delay* (as in libwebrtc's NetEQ, delay_manager.cc and relative_arrival_delay_tracker.cc). Sorted, the last
three seconds of transit times give both the fastest (the first) and any quantile by one look. NetEQ keeps a histogram
with exponential forgetting instead; a window is as cheap, is exact, and forgets wholly: three seconds after a network
has cleared nothing of its jitter is left. Clocks that run apart move the fastest along, by 0.2 ms a second at 200 ppm.
If half a second of packets are all much slower than the fastest, the way has become longer, and what was is forgotten.

The *target delay* is the smallest one, counted from the fastest packet, at which

* no more than 1 in 100 packets comes after its turn;
* and no more than 1.5 in 1000 packets stay unrecovered because the packet after a lost one, which carries its copy
  (FEC), came after the turn of the lost one. That next packet is sent 20 ms later, so it takes 20 ms more, but only for
  the share of packets that are lost and have a copy: at 1 % loss one copy in seven may come too late, at 10 % one in
  seventy. So a clean network pays nothing for FEC, and the worse it is the longer we wait. NetEQ does not weigh this.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from typing import Final

WINDOW_S: Final = 3.0
"""How far back arrivals count; less than the 5 s in which playout shall have recovered."""

_MIN_ARRIVALS: Final = 50
"""One second of packets: as many are kept even if they are older, for a pause of the sender teaches nothing."""

_MAX_ARRIVALS: Final = 600
"""More than the window holds at 10 ms a packet."""

_SHIFT_S: Final = 0.08
_SHIFT_ARRIVALS: Final = 25
"""As many packets in a row that are all so much slower are another way, not jitter; of jitter, some are fast."""

_LATE_RATIO: Final = 0.01
_UNRECOVERED_RATIO: Final = 0.0015
_LOSS_MEMORY_PACKETS: Final = 500
"""Ten seconds: a loss of 1 % shows up as five packets in it, and no fewer could be told from chance."""


class TargetDelayEstimator:
    """Statistics on the arrivals of one stream."""

    def __init__(self, margin_s: float) -> None:
        self._margin_s = margin_s
        # Arrays: the floats of lists would lie all over the memory.
        self._sorted_s = array("d")
        self._at_s = array("d")
        self._transits_s = array("d")
        self._oldest = 0
        self._n_slow = 0
        self._n_played = 0
        self._recoverable_ratio = 0.0
        self.fastest_s = 0.0
        """Lowest transit time of the window, seconds."""

    def add(self, transit_s: float, now_s: float) -> None:
        """Count a packet that has arrived, `transit_s` being `now_s` less its position in seconds."""
        ordered, at_s, transits_s = self._sorted_s, self._at_s, self._transits_s
        insort(ordered, transit_s)
        at_s.append(now_s)
        transits_s.append(transit_s)
        oldest, n_arrivals = self._oldest, len(ordered)
        while n_arrivals > _MIN_ARRIVALS and (at_s[oldest] < now_s - WINDOW_S or n_arrivals > _MAX_ARRIVALS):
            del ordered[bisect_left(ordered, transits_s[oldest])]
            oldest += 1
            n_arrivals -= 1
        if oldest > _MIN_ARRIVALS:
            del at_s[:oldest], transits_s[:oldest]
            oldest = 0
        self._oldest = oldest
        fastest_s = ordered[0]
        if transit_s - fastest_s > _SHIFT_S:
            self._n_slow += 1
            if self._n_slow == _SHIFT_ARRIVALS:
                self._forget_all_but_slow()
                fastest_s = ordered[0]
        else:
            self._n_slow = 0
        self.fastest_s = fastest_s

    def _forget_all_but_slow(self) -> None:
        del self._at_s[:-_SHIFT_ARRIVALS]
        del self._transits_s[:-_SHIFT_ARRIVALS]
        self._sorted_s[:] = array("d", sorted(self._transits_s))
        self._n_slow = self._oldest = 0

    def count_played(self, *, follows_recoverable_loss: bool) -> None:
        """Count a packet that was taken for playout, and whether the one before it is lost and copied in it."""
        self._n_played = min(self._n_played + 1, _LOSS_MEMORY_PACKETS)
        self._recoverable_ratio += (follows_recoverable_loss - self._recoverable_ratio) / self._n_played

    def needed_delay_s(self, packet_s: float) -> float:
        """Return the delay at which a packet as fast as the fastest must be played; one is sent every `packet_s`."""
        ordered = self._sorted_s
        n_arrivals = len(ordered)
        if n_arrivals == 0:
            return self._margin_s
        needed_s = ordered[-1 - int(n_arrivals * _LATE_RATIO)]
        if self._recoverable_ratio > _UNRECOVERED_RATIO:
            n_spared = int(n_arrivals * _UNRECOVERED_RATIO / self._recoverable_ratio)
            needed_s = max(needed_s, ordered[-1 - min(n_spared, n_arrivals - 1)] + packet_s)
        return needed_s - ordered[0] + self._margin_s
