"""The loops in a sequence of layers, of which some are the same (section 4.3, Figures 4 and 6 of the paper). No torch.

A stage whose layers are a b a b a b runs the loop (a b) three times. Not every return is a loop: in
a b c d c d a b c d (Figure 6) the pair (c d) is run twice, and then the flow returns to a.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Loop:
    """A body that is run several times.

    Attributes:
        body: Layers by name, and loops within the loop.
        trips: How often it is run, at least twice.
    """

    body: tuple[str | Loop, ...]
    trips: int

    def __str__(self) -> str:
        return f"({' '.join(map(str, self.body))}) x {self.trips}"


@dataclass(frozen=True)
class Jump:
    """A way in the folded network other than on to the next layer: back to an earlier one, or past some.

    Attributes:
        source: Layer whose output is passed on.
        target: Layer that it is passed to.
        steps: When the way is taken: how many layers have then been run, each time.
    """

    source: str
    target: str
    steps: tuple[int, ...]

    @property
    def times(self) -> int:
        """How often the way is taken."""
        return len(self.steps)


@dataclass(frozen=True)
class Loops:
    """What a stage runs: layers and loops, in order. Equal where the same is run in the same order.

    Attributes:
        items: Layers by name (`a`, `b`, ... in the order of their first use), and loops of them.
    """

    items: tuple[str | Loop, ...]

    @property
    def sequence(self) -> tuple[str, ...]:
        """The layers in the order in which they are run: the loops unrolled."""
        return tuple(_unrolled(self.items))

    @property
    def distinct(self) -> tuple[str, ...]:
        """The different layers, in the order of their first use; the folded stage has these."""
        return tuple(dict.fromkeys(self.sequence))

    @property
    def is_recurrent(self) -> bool:
        """Whether any layer is run more than once."""
        return len(self.distinct) < len(self.sequence)

    @property
    def jumps(self) -> tuple[Jump, ...]:
        """Ways other than from a layer to the next of `distinct`, in the order in which they are first taken."""
        place = {layer: index for index, layer in enumerate(self.distinct)}
        taken: dict[tuple[str, str], list[int]] = {}
        for step, (source, target) in enumerate(itertools.pairwise(self.sequence), start=1):
            if place[target] != place[source] + 1:
                taken.setdefault((source, target), []).append(step)
        return tuple(Jump(source, target, tuple(steps)) for (source, target), steps in taken.items())

    def __str__(self) -> str:
        return " ".join(map(str, self.items))


@dataclass(frozen=True)
class Folding:
    """What a network looks like once layers that are alike are one.

    Attributes:
        loops: For each stage what its shared layers run, in the order in which the model registers them, which is
            the order in which networks commonly run them. The name of a stage is empty where a model has none.
        layers: Layers before: all convolutions, and all shared layers of other kinds. As the paper counts: 40 for a
            SWRN 40, with the first convolution and the three 1x1, without the classifier.
        distinct_layers: Layers after (appendix A: 24 for the paper's SWRN 40-8-8).
        looped: Stages whose blocks run as loops in the folded network; of the others layers are tied where they
            lie. None before a network is folded.
        unlooped: For each stage whose layers are tied and run in no loop why not, such as "layer3.1 and layer3.2 differ
            in drop_path.drop_prob (0.02 and 0.04)". Empty before a network is folded.
    """

    loops: dict[str, Loops]
    layers: int
    distinct_layers: int
    looped: tuple[str, ...] | None = None
    unlooped: dict[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        lines = []
        for stage, loops in self.loops.items():
            why = f" (tied, no loop made: {self.unlooped[stage]})" if stage in self.unlooped else ""
            lines.append(f"{stage or 'network'}: {loops}{why}")
        return "\n".join([*lines, f"{self.distinct_layers} layers in place of {self.layers}"])


def find_loops(labels: Sequence[Hashable]) -> Loops:
    """The shortest way to write a sequence of layers down with loops, nested ones included.

    Shortest counts the layers written; of equally short ones that with fewer loops, then the one whose loops
    begin earlier. Found exactly, by dynamic programming over all parts of the sequence.

    Args:
        labels: What tells layers apart, in the order in which they are run; equal labels are the same layer.

    Returns:
        The loops, with layers named a, b, c, ... in the order of first use.
    """
    names: dict[Hashable, str] = {}
    for label in labels:
        names.setdefault(label, layer_name(len(names)))
    sequence = [names[label] for label in labels]
    # best[i, j]: cost (layers, loops) and the items of sequence[i:j]
    best: dict[tuple[int, int], tuple[tuple[int, int], tuple[str | Loop, ...]]] = {}
    for length in range(1, len(sequence) + 1):
        for start in range(len(sequence) - length + 1):
            best[start, start + length] = _shortest(sequence, start, start + length, best)
    return Loops(best[0, len(sequence)][1] if sequence else ())


def layer_name(index: int) -> str:
    """Names layers as columns of a sheet are named: a to z, aa, ab, ..."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = string.ascii_lowercase[letter] + name
    return name


def _shortest(sequence: list[str], start: int, stop: int, best: dict) -> tuple[tuple[int, int], tuple[str | Loop, ...]]:
    if stop - start == 1:
        return (1, 0), (sequence[start],)
    found = None
    for period in range(1, (stop - start) // 2 + 1):
        trips, rest = divmod(stop - start, period)
        if rest == 0 and sequence[start : stop - period] == sequence[start + period : stop]:
            (layers, loops), body = best[start, start + period]
            if found is None or (layers, loops + 1) < found[0]:
                found = (layers, loops + 1), (Loop(body, trips),)
    for middle in range(stop - 1, start, -1):  # longest head first: loops that begin early
        (left, left_loops), head = best[start, middle]
        (right, right_loops), tail = best[middle, stop]
        if found is None or (left + right, left_loops + right_loops) < found[0]:
            found = (left + right, left_loops + right_loops), head + tail
    assert found is not None
    return found


def _unrolled(items: tuple[str | Loop, ...]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Loop):
            for _ in range(item.trips):
                yield from _unrolled(item.body)
        else:
            yield item
