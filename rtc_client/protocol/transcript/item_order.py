"""The order of a conversation's items: by the chain that the server tells, else by time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """Something that has found its place."""

    value: T
    at_ms: int
    """When it began at the latest: no later than what comes after it in its chain."""


@dataclass(frozen=True, slots=True)
class Link(Generic[T]):
    """Something that wants a place."""

    value: T
    number: int
    """Unique; later ones are newer."""
    at_ms: int
    item_id: str | None
    previous_item_id: str | None
    """None: nobody said what comes before it."""


def in_order(links: Iterable[Link[T]]) -> list[Placed[T]]:
    """Return `links` in the order in which they belong, with begin times that never go back.

    An item stands after the one it names as its predecessor; of two that name the same, the newer comes first, for
    it was put in between. What names none, or one that is not known, begins a run of its own. Runs are merged by time,
    none of them torn out of its order. A chain that bites its tail is cut at its oldest item.
    """
    everything = sorted(links, key=lambda link: link.number)
    known = {link.item_id: link for link in everything if link.item_id is not None}
    followers: dict[str, list[Link[T]]] = {}
    roots: list[Link[T]] = []
    for link in everything:
        if link.previous_item_id in known and link.previous_item_id is not None:
            followers.setdefault(link.previous_item_id, []).append(link)
        else:
            roots.append(link)
    seen: set[int] = set()
    keyed: list[tuple[tuple[int, int], int, Link[T]]] = []
    for root in [*roots, *everything]:
        if root.number not in seen:
            keyed += _keyed(_run(root, followers, seen))
    # Keys rise within a run and belong to one run only, so sorting merges the runs and keeps each in its order.
    keyed.sort(key=lambda entry: entry[:2])
    return [Placed(link.value, key[0]) for key, _, link in keyed]


def _run(root: Link[T], followers: Mapping[str, list[Link[T]]], seen: set[int]) -> list[Link[T]]:
    run: list[Link[T]] = []
    waiting = [root]
    while waiting:
        link = waiting.pop()
        if link.number in seen:
            continue
        seen.add(link.number)
        run.append(link)
        if link.item_id is not None:
            waiting += followers.get(link.item_id, ())
    return run


def _keyed(run: list[Link[T]]) -> list[tuple[tuple[int, int], int, Link[T]]]:
    keyed: list[tuple[tuple[int, int], int, Link[T]]] = []
    least = (run[-1].at_ms, run[-1].number)
    for index in range(len(run) - 1, -1, -1):
        least = min(least, (run[index].at_ms, run[index].number))
        keyed.append((least, index, run[index]))
    return keyed
