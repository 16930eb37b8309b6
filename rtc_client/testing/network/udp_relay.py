"""A bad network on one machine: a UDP relay between caller and answerer that loses, delays and repeats datagrams.

`Link` decides what becomes of a datagram and is pure: time and randomness come in as arguments. The sockets are
`Relay`'s. It stands where the answer says the answerer is, and the answerer sees it where the caller would be. Passing
the offer and the answer on is `answerer.py`'s, or between any two peers `http_proxy.py`'s.

Losses strike RTP and RTCP alone, each by a row of random numbers of its own, so that the same packets of the voice are
lost whenever the seed is the same. STUN and DTLS are delayed but always arrive: a call that is to be measured comes up.
Only a blackout swallows everything.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Final, TypeAlias

from rtc_client.testing.aiortc_internals import LOOPBACK, is_rtp
from rtc_client.testing.wire.sdp_text import udp_address, with_only_candidate

MAX_DATAGRAM_BYTES: Final = 65_536
MAX_FLOWS: Final = 16
"""Addresses of the caller that are served; those of its sockets that try to reach the answerer."""

_Address: TypeAlias = tuple[str, int]
"""Host and port; of an IPv6 address without the two that follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What a network does to one direction of a call. The default does nothing.

    Raises:
        ValueError: A number is out of its range, or two of them contradict each other.
    """

    loss_ratio: float = 0.0
    """How many of the media packets are lost, 0 to 1."""
    losses_in_a_row: int = 1
    """How many are lost at a time."""
    delay_s: float = 0.0
    """What every datagram takes, seconds."""
    jitter_s: float = 0.0
    """What it takes more, seconds: anything from 0 to this, each as likely. Datagrams overtake each other."""
    duplicate_ratio: float = 0.0
    """How many of the media packets come twice."""
    bit_rate: float | None = None
    """Bits per second that pass, None for no limit; what is more waits its turn."""
    queue_s: float = 0.2
    """How long it waits at most, seconds; what would wait longer is lost, be it media or not."""
    reorder_ratio: float = 0.0
    """How many of the media packets are held back by `reorder_s`, so that later ones overtake them."""
    reorder_s: float = 0.05
    """How long they are held back, seconds; at 20 ms a packet the default lets two others pass."""
    keeps_order: bool = False
    """Whether jitter lets no datagram overtake another; those of `reorder_ratio` are overtaken all the same."""
    blackouts: tuple[tuple[float, float], ...] = ()
    """When nothing at all passes: pairs of beginning, in seconds after the first media packet, and duration."""

    def __post_init__(self) -> None:
        if not (0 <= self.loss_ratio < 1 and 0 <= self.duplicate_ratio <= 1):
            raise ValueError("need 0 <= loss_ratio < 1 and 0 <= duplicate_ratio <= 1")
        if not 0 <= self.reorder_ratio <= 1 or self.reorder_s < 0:
            raise ValueError("need 0 <= reorder_ratio <= 1 and reorder_s >= 0")
        if any(start_s < 0 or duration_s <= 0 for start_s, duration_s in self.blackouts):
            raise ValueError("a blackout needs a beginning of 0 s or later, and a duration of more than 0 s")
        if self.losses_in_a_row < 1:
            raise ValueError("need losses_in_a_row >= 1")
        if min(self.delay_s, self.jitter_s, self.queue_s) < 0 or (self.bit_rate is not None and self.bit_rate <= 0):
            raise ValueError("a network takes no negative time, and its bit_rate is more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Both directions of a call's network, and the seed of what it does."""

    to_agent: Impairment = field(default_factory=Impairment)
    """What happens to the caller's packets."""
    to_caller: Impairment = field(default_factory=Impairment)
    """What happens to the agent's packets."""
    seed: int = 0


@dataclass(slots=True)
class LinkCounters:
    """What has passed one direction."""

    rtp_packets: int = 0
    rtp_lost: int = 0
    datagrams: int = 0
    """Of any kind, lost ones among them."""
    overflowed: int = 0
    """Lost because the limit of the bit rate was passed."""
    octets: int = 0
    """In all datagrams, without the headers below UDP."""
    rtp_duplicated: int = 0
    rtp_held_back: int = 0
    """Those of `reorder_ratio`."""
    blacked_out: int = 0
    """Lost in a blackout, of any kind."""


class Link:
    """One direction of a network."""

    def __init__(self, impairment: Impairment, rng: random.Random) -> None:
        self._impairment = impairment
        self._rtp = _Losses(impairment, random.Random(rng.random()))
        self._rtcp = _Losses(impairment, random.Random(rng.random()))
        seed = rng.random()
        self._rng = random.Random(seed)
        self._reorder_rng = random.Random(seed + 1)
        self._free_at_s = 0.0
        self._last_arrival_s = 0.0
        self._media_since_s: float | None = None
        self._black_until_s = 0.0
        self.counters = LinkCounters()

    def carry(self, datagram: bytes, now_s: float) -> tuple[float, ...]:
        """Return when each copy of a datagram sent at `now_s` arrives, on the same clock; nothing if it is lost."""
        impairment, counters = self._impairment, self.counters
        counters.datagrams += 1
        counters.octets += len(datagram)
        is_media = len(datagram) > 1 and 128 <= datagram[0] <= 191
        n_copies, held_back_s, is_lost = 1, 0.0, False
        if is_media:
            if is_voice := is_rtp(datagram):
                counters.rtp_packets += 1
                if self._media_since_s is None:
                    self._media_since_s = now_s
            # Drawn for each packet whatever becomes of it, so that a row of random numbers stays one of packets.
            is_lost = (self._rtp if is_voice else self._rtcp).strikes()
            if is_voice and self._reorder_rng.random() < impairment.reorder_ratio:
                held_back_s = impairment.reorder_s
        if self._is_black(now_s):
            counters.blacked_out += 1
            return ()
        if is_lost:
            counters.rtp_lost += is_rtp(datagram)
            return ()
        if is_media and self._rng.random() < impairment.duplicate_ratio:
            n_copies = 2
            counters.rtp_duplicated += is_rtp(datagram)
        counters.rtp_held_back += held_back_s > 0
        leaves_s = now_s
        if impairment.bit_rate is not None:
            leaves_s = max(now_s, self._free_at_s)
            if leaves_s - now_s > impairment.queue_s:
                counters.overflowed += 1
                return ()
            leaves_s += 8 * len(datagram) / impairment.bit_rate
            self._free_at_s = leaves_s
        arrivals = [leaves_s + impairment.delay_s + self._rng.uniform(0, impairment.jitter_s) for _ in range(n_copies)]
        if impairment.keeps_order:
            arrivals = [max(arrival_s, self._last_arrival_s) for arrival_s in arrivals]
            self._last_arrival_s = max(arrivals)
        return tuple(arrival_s + held_back_s for arrival_s in arrivals)

    def black_out(self, now_s: float, for_s: float) -> None:
        """Let nothing pass for so long from now on."""
        self._black_until_s = max(self._black_until_s, now_s + for_s)

    def _is_black(self, now_s: float) -> bool:
        if now_s < self._black_until_s:
            return True
        if self._media_since_s is None:
            return False
        since_s = now_s - self._media_since_s
        return any(start_s <= since_s < start_s + for_s for start_s, for_s in self._impairment.blackouts)


class _Losses:
    """Which packets of one kind are lost."""

    def __init__(self, impairment: Impairment, rng: random.Random) -> None:
        ratio, in_a_row = impairment.loss_ratio, impairment.losses_in_a_row
        # So many runs begin per packet that is free to be hit; while one lasts, none can begin.
        self._begin_ratio = ratio / (ratio + in_a_row * (1 - ratio))
        self._in_a_row = in_a_row
        self._n_to_lose = 0
        self._rng = rng

    def strikes(self) -> bool:
        """Return whether the next packet is lost."""
        if self._n_to_lose == 0 and self._rng.random() < self._begin_ratio:
            self._n_to_lose = self._in_a_row
        if self._n_to_lose == 0:
            return False
        self._n_to_lose -= 1
        return True


class Relay:
    """Stands between the peers of one call. Open it in a running event loop; `close` must be called."""

    def __init__(self, network: Network, host: str = LOOPBACK) -> None:
        """`host` is the address at which the caller finds it.

        Raises:
            OSError: If it cannot be had.
        """
        rng = random.Random(network.seed)
        self.to_agent = Link(network.to_agent, rng)
        self.to_caller = Link(network.to_caller, rng)
        self._loop = asyncio.get_running_loop()
        self._answerer: _Address | None = None
        self._flows: dict[_Address, socket.socket] = {}
        self._under_way: list[tuple[float, int, bytes, socket.socket, _Address]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._front = _open_socket(host)
        self.used_at_s = self._loop.time()
        """When the last datagram came, by the event loop's clock."""
        self.is_closed = False
        self._loop.add_reader(self._front, self._from_caller)

    def answer_by_way_of(self, answer_sdp: str, *, is_here: bool = True) -> str:
        """Return the answer with the relay in place of the answerer, which it leads to from now on.

        The relay is the only candidate in it. With `is_here` the answerer runs on this machine, and is met on
        loopback if it can be.

        Raises:
            ValueError: If the answer names no UDP address, or more of them than a relay can lead to.
        """
        self._answerer = udp_address(answer_sdp, is_here=is_here)
        host, port = self._front.getsockname()[:2]
        return with_only_candidate(answer_sdp, host, port)

    def black_out(self, for_s: float) -> None:
        """Let nothing pass in either direction for so long from now on."""
        for lane in (self.to_agent, self.to_caller):
            lane.black_out(self._loop.time(), for_s)

    def close(self) -> None:
        """Carry nothing any more. Safe to call twice."""
        self.is_closed = True
        self._under_way.clear()
        self._wake()
        for one in (self._front, *self._flows.values()):
            if one.fileno() >= 0:
                self._loop.remove_reader(one)
                one.close()

    def _from_caller(self) -> None:
        for datagram, address in _received(self._front):
            flow = self._flows.get(address)
            if flow is None:
                if len(self._flows) >= MAX_FLOWS or self._answerer is None:
                    continue
                flow = self._flows[address] = _open_socket(_source_for(self._answerer[0]))
                self._loop.add_reader(flow, self._from_answerer, flow, address)
            if self._answerer is not None:
                self._carry(self.to_agent, datagram, flow, self._answerer)

    def _from_answerer(self, flow: socket.socket, caller: _Address) -> None:
        for datagram, address in _received(flow):
            if self._answerer is not None and address[:2] == self._answerer:
                self._carry(self.to_caller, datagram, self._front, caller)

    def _carry(self, lane: Link, datagram: bytes, way: socket.socket, to: _Address) -> None:
        now_s = self.used_at_s = self._loop.time()
        for at_s in lane.carry(datagram, now_s):
            if at_s <= now_s:
                _send(way, datagram, to)
                continue
            heappush(self._under_way, (at_s, next(self._numbers), datagram, way, to))
        self._wake()

    def _wake(self) -> None:
        """Let the loop come back when the next datagram arrives."""
        next_s = self._under_way[0][0] if self._under_way else None
        if self._timer is not None:
            if self._timer.when() == next_s:
                return
            self._timer.cancel()
        self._timer = None if next_s is None else self._loop.call_at(next_s, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        while self._under_way and self._under_way[0][0] <= now_s:
            _, _, datagram, way, to = heappop(self._under_way)
            _send(way, datagram, to)
        self._wake()


def _open_socket(host: str) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.bind((host, 0))
    except BaseException:
        one.close()
        raise
    return one


def _source_for(host: str) -> str:
    """Return the address to bind to for reaching a host."""
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return host
    return "::" if address.version == 6 else "0.0.0.0"  # noqa: S104 - for sending; what others send there is dropped


def _received(one: socket.socket) -> list[tuple[bytes, _Address]]:
    """Return what has arrived at a socket, and from where."""
    datagrams: list[tuple[bytes, _Address]] = []
    with suppress(BlockingIOError, ConnectionError):
        while len(datagrams) < 64:
            datagrams.append(one.recvfrom(MAX_DATAGRAM_BYTES))
    return datagrams


def _send(way: socket.socket, datagram: bytes, to: _Address) -> None:
    with suppress(OSError):  # a full buffer loses it, as a network would
        way.sendto(datagram, to)
