"""Places boxes in layers so that edges go downwards and seldom cross: the layered drawing of directed graphs.

    cycles are opened -> ranks -> long edges get a place in every layer -> order in the layers -> coordinates

Owns coordinates. Works on boxes and edges alone and knows nothing of states. Deterministic.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

_SWEEPS: Final = 12
_GAP_X: Final = 24.0
_GAP_Y: Final = 16.0


@dataclass(slots=True)
class Box:
    """Something with a size; its centre is what the layout finds."""

    width: float
    height: float
    x: float = 0.0
    y: float = 0.0


@dataclass(slots=True)
class Line:
    """An edge between two boxes, by index; `label` has a size and gets a place. `points` run from source to target."""

    source: int
    target: int
    label: Box | None = None
    points: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])


def arrange(boxes: Sequence[Box], lines: Sequence[Line], start: int = 0) -> tuple[float, float]:
    """Give every box its centre, every line its points and every label its centre; gives width and height."""
    return _Layout(boxes, lines).run(start)


class _Layout:
    def __init__(self, boxes: Sequence[Box], lines: Sequence[Line]) -> None:
        self.places = list(boxes)  # the boxes, then the places that long edges pass through
        self.real = len(boxes)
        self.lines = lines
        self.loops = [line for line in lines if line.source == line.target]
        self.ranks: list[int] = []
        self.layers: list[list[int]] = []
        self.above: list[list[int]] = []
        self.below: list[list[int]] = []
        self.chains: list[tuple[Line, list[int], bool]] = []

    def run(self, start: int) -> tuple[float, float]:
        turned = self._turned(start)
        self.ranks = self._ranks(turned)
        self._fill_layers(self.ranks, turned)
        self._order()
        self._across()
        self._down()
        self._draw()
        return self._to_origin()

    # ---- ranks ----

    def _turned(self, start: int) -> set[int]:
        """The lines that close a cycle on a walk from the start; they are laid out the other way round."""
        following: list[list[int]] = [[] for _ in range(self.real)]
        for index, line in enumerate(self.lines):
            if line.source != line.target:
                following[line.source].append(index)
        turned: set[int] = set()
        state = [0] * self.real  # 1 while on the way, 2 when left
        for root in [start, *range(self.real)]:
            if state[root]:
                continue
            state[root] = 1
            way = [(root, iter(following[root]))]
            while way:
                node, rest = way[-1]
                for index in rest:
                    target = self.lines[index].target
                    if state[target] == 1:
                        turned.add(index)
                    elif not state[target]:
                        state[target] = 1
                        way.append((target, iter(following[target])))
                        break
                else:
                    state[node] = 2
                    way.pop()
        return turned

    def _ends(self, index: int, turned: set[int]) -> tuple[int, int]:
        line = self.lines[index]
        return (line.target, line.source) if index in turned else (line.source, line.target)

    def _ranks(self, turned: set[int]) -> list[int]:
        """The longest way to each box, doubled: between two layers of boxes there is one of labels."""
        edges = [self._ends(i, turned) for i, line in enumerate(self.lines) if line.source != line.target]
        following: list[list[int]] = [[] for _ in range(self.real)]
        missing = [0] * self.real
        for source, target in edges:
            following[source].append(target)
            missing[target] += 1
        ranks = [0] * self.real
        ready = [box for box in range(self.real) if not missing[box]]
        while ready:
            box = ready.pop()
            for target in following[box]:
                ranks[target] = max(ranks[target], ranks[box] + 2)
                missing[target] -= 1
                if not missing[target]:
                    ready.append(target)
        return ranks

    def _fill_layers(self, ranks: list[int], turned: set[int]) -> None:
        self.layers = [[] for _ in range(max(ranks, default=0) + 1)]
        for box, rank in enumerate(ranks):
            self.layers[rank].append(box)
        for index, line in enumerate(self.lines):
            if line.source == line.target:
                continue
            top, bottom = self._ends(index, turned)
            chain = [top]
            # The label stands next to the source, where the reader decides.
            labelled = ranks[bottom] - 1 if index in turned else ranks[top] + 1
            for rank in range(ranks[top] + 1, ranks[bottom]):
                place = line.label if rank == labelled and line.label is not None else Box(0, 0)
                chain.append(len(self.places))
                self.layers[rank].append(len(self.places))
                self.places.append(place)
            chain.append(bottom)
            self.chains.append((line, chain, index in turned))
        self.above = [[] for _ in self.places]
        self.below = [[] for _ in self.places]
        for _, chain, _ in self.chains:
            for upper, lower in pairwise(chain):
                self.below[upper].append(lower)
                self.above[lower].append(upper)

    # ---- order ----

    def _order(self) -> None:
        """Order each layer by the middle of its neighbours, down and up, and keep the order with fewest crossings."""
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            down = sweep % 2 == 0
            beside = self.above if down else self.below
            position = self._positions()
            for layer in self.layers if down else self.layers[::-1]:
                middle = {
                    place: sum(position[each] for each in beside[place]) / len(beside[place])
                    if beside[place]
                    else position[place]
                    for place in layer
                }
                layer.sort(key=middle.__getitem__)
                position.update((place, index) for index, place in enumerate(layer))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _positions(self) -> dict[int, int]:
        return {place: index for layer in self.layers for index, place in enumerate(layer)}

    def _crossings(self) -> int:
        position = self._positions()
        crossings = 0
        for layer in self.layers:
            ends: list[int] = []  # sorted
            for place in layer:
                for end in sorted(position[lower] for lower in self.below[place]):
                    at = bisect_right(ends, end)
                    crossings += len(ends) - at
                    ends.insert(at, end)
        return crossings

    # ---- coordinates ----

    def _across(self) -> None:
        """Each place as near as possible to the middle of its neighbours, in order and without touching."""
        for layer in self.layers:
            self._place(layer, [0.0] * len(layer))
        for sweep in range(_SWEEPS):
            beside = self.above if sweep % 2 == 0 else self.below
            for layer in self.layers if sweep % 2 == 0 else self.layers[::-1]:
                wanted = [
                    sum(self.places[each].x for each in beside[place]) / len(beside[place])
                    if beside[place]
                    else self.places[place].x
                    for place in layer
                ]
                self._place(layer, wanted)

    def _place(self, layer: list[int], wanted: list[float]) -> None:
        """Least squares under the order: pool adjacent violators."""
        offsets = [0.0]
        for left, right in pairwise(layer):
            apart = (self.places[left].width + self.places[right].width) / 2 + _GAP_X
            offsets.append(offsets[-1] + apart)
        pools: list[tuple[float, int]] = []  # sum and number
        for want, offset in zip(wanted, offsets, strict=False):
            pools.append((want - offset, 1))
            while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
                total, number = pools.pop()
                pools[-1] = (pools[-1][0] + total, pools[-1][1] + number)
        values = [total / number for total, number in pools for _ in range(number)]
        for place, value, offset in zip(layer, values, offsets, strict=False):
            self.places[place].x = value + offset

    def _down(self) -> None:
        top = 0.0
        for layer in self.layers:
            height = max((self.places[place].height for place in layer), default=0.0)
            for place in layer:
                self.places[place].y = top + height / 2
            top += height + _GAP_Y

    # ---- lines ----

    def _draw(self) -> None:
        ports = self._ports()
        heights = [max((self.places[place].height for place in layer), default=0.0) for layer in self.layers]
        for number, (line, chain, turned) in enumerate(self.chains):
            top, bottom = self.places[chain[0]], self.places[chain[-1]]
            points = [(ports[number, 0], top.y + top.height / 2)]
            for rank, place in enumerate(chain[1:-1], self.ranks[chain[0]] + 1):
                middle, height = self.places[place], heights[rank]
                # Straight through the layer, so that nothing beside is touched.
                points += [(middle.x, middle.y - height / 2), (middle.x, middle.y + height / 2)]
            points.append((ports[number, 1], bottom.y - bottom.height / 2))
            line.points = points[::-1] if turned else points
        for line in self.loops:
            self._draw_loop(line)

    def _ports(self) -> dict[tuple[int, int], float]:
        """Where lines leave and enter a box: side by side, in the order of where they come from."""
        ends: dict[tuple[int, int], list[tuple[float, int]]] = {}
        for number, (_, chain, _) in enumerate(self.chains):
            for side, box, beside in ((0, chain[0], chain[1]), (1, chain[-1], chain[-2])):
                ends.setdefault((box, side), []).append((self.places[beside].x, number))
        ports: dict[tuple[int, int], float] = {}
        for (box, side), found in ends.items():
            room = min(self.places[box].width * 0.8, 28.0 * (len(found) - 1))
            step = room / (len(found) - 1) if len(found) > 1 else 0.0
            for index, (_, number) in enumerate(sorted(found)):
                ports[number, side] = self.places[box].x - room / 2 + index * step
        return ports

    def _draw_loop(self, line: Line) -> None:
        box = self.places[line.source]
        right, out, up = box.x + box.width / 2, box.x + box.width / 2 + 18, min(8.0, box.height / 4)
        line.points = [(right, box.y + up), (out, box.y + up), (out, box.y - up), (right, box.y - up)]
        if line.label is not None:
            line.label.x, line.label.y = out + 4 + line.label.width / 2, box.y

    def _to_origin(self) -> tuple[float, float]:
        """Move everything so that the left upper corner is at (0, 0); gives the size."""
        labels = [line.label for line in self.loops if line.label is not None]
        extents = [*self.places, *labels]
        xs = [point[0] for line in self.lines for point in line.points]
        left = min(min((each.x - each.width / 2 for each in extents), default=0.0), min(xs, default=0.0))
        right = max(max((each.x + each.width / 2 for each in extents), default=0.0), max(xs, default=0.0))
        bottom = max((each.y + each.height / 2 for each in extents), default=0.0)
        for each in _distinct(extents):
            each.x -= left
        for line in self.lines:
            line.points = [(x - left, y) for x, y in line.points]
        return right - left, bottom


def _distinct(boxes: Iterable[Box]) -> list[Box]:
    return list({id(box): box for box in boxes}.values())
