"""What is counted, by name and labels: counters and histograms, with a bound on how many label values there are.

Owns the numbers and their form for Prometheus; what is counted, and when, is metrics.py's. prometheus-client is
imported only when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

MOST: Final = 1_000
"""Series of one metric; a further one counts as OTHER."""
OTHER: Final = "other"

SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 86_400)
BYTES: Final = tuple(float(1 << power) for power in range(10, 32, 3))

Values: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name without the beginning `treadle_`, the name that AWS has for it, its labels.

    With `buckets`, the upper bounds of a histogram, values are observed; without, they are added up.
    """

    name: str
    aws: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def told(self) -> str:
        """The help text."""
        return f"{self.aws} of AWS/States"


@dataclass(slots=True)
class _Distribution:
    """How often a value was in each bucket, and the sum of all."""

    buckets: list[int]
    total: float = 0.0

    def cumulated(self, bounds: Iterable[float]) -> list[tuple[str, float]]:
        total, made = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(float, bounds), "+Inf"), self.buckets, strict=True):
            total += count
            made.append((str(bound), float(total)))
        return made


class Counts:
    """The numbers of one server."""

    def __init__(self) -> None:
        self._counters: dict[Family, dict[Values, float]] = {}
        self._histograms: dict[Family, dict[Values, _Distribution]] = {}

    def add(self, family: Family, values: Values, amount: float = 1) -> None:
        """Count something."""
        counter = self._counters.setdefault(family, {})
        values = bounded(values, counter)
        counter[values] = counter.get(values, 0) + amount

    def observe(self, family: Family, values: Values, amount: float) -> None:
        """Note how much something was."""
        histogram = self._histograms.setdefault(family, {})
        values = bounded(values, histogram)
        distribution = histogram.get(values)
        if distribution is None:
            distribution = histogram[values] = _Distribution([0] * (len(family.buckets) + 1))
        amount = max(0.0, amount)
        distribution.buckets[bisect_left(family.buckets, amount)] += 1
        distribution.total += amount

    def collect(self) -> Iterator[Metric]:
        """All of them as prometheus-client wants them."""
        from prometheus_client.metrics_core import HistogramMetricFamily

        for family, counter in self._counters.items():
            yield counted(family, counter)
        for family, histogram in self._histograms.items():
            made = HistogramMetricFamily(f"treadle_{family.name}", family.told, labels=family.labels)
            for values, distribution in histogram.items():
                made.add_metric(values, distribution.cumulated(family.buckets), distribution.total)
            yield made


def counted(family: Family, counts: Mapping[Values, float]) -> Metric:
    """A counter as prometheus-client wants it."""
    from prometheus_client.metrics_core import CounterMetricFamily

    made = CounterMetricFamily(f"treadle_{family.name}", family.told, labels=family.labels)
    for values, count in counts.items():
        made.add_metric(values, count)
    return made


def gauge(family: Family, values: Mapping[Values, float]) -> Metric:
    """A value that goes up and down; where there are too many, the largest ones and the sum of the others."""
    from prometheus_client.metrics_core import GaugeMetricFamily

    made = GaugeMetricFamily(f"treadle_{family.name}", family.told, labels=family.labels)
    shown = values if len(values) <= MOST else dict(nlargest(MOST, values.items(), key=lambda each: each[1]))
    for each, value in shown.items():
        made.add_metric(each, value)
    if len(shown) < len(values):
        made.add_metric((OTHER,) * len(family.labels), sum(values.values()) - sum(shown.values()))
    return made


def bounded(values: Values, known: Mapping[Values, object]) -> Values:
    """The labels under which something is counted: its own while there is room."""
    return values if values in known or len(known) < MOST else (OTHER,) * len(values)
