"""Steps replayed as CUDA graphs: the host starts one graph where it would start every kernel.

https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from backends.torch.optimizers import Rates

Batch = Mapping[str, torch.Tensor]
Steps = Callable[[Sequence[Batch], Sequence[Rates]], torch.Tensor]
"""Makes steps, given their batches and rates, which are tensors; the losses (steps,)."""
WARM_UP = 3
"""Runs before the capture, in which libraries take what they need once."""


def recorded(work: Callable[[], None]) -> Callable[[], None]:
    """Returns a function that replays the kernels that ``work`` starts, on the same memory."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Graphs:
    """One graph for every shape and number of the batches that steps are made with.

    A graph reads and writes where it did when it was captured: inputs are copied there, and what
    training changes, ``changed``, stays where it is.
    """

    def __init__(self, steps: Steps, changed: Sequence[torch.Tensor]):
        self._steps, self._changed = steps, list(changed)
        self._captured: dict[
            tuple[torch.Size, ...],
            tuple[Callable[[], None], list[torch.Tensor], torch.Tensor],
        ] = {}

    def __len__(self) -> int:
        return len(self._captured)

    def __call__(
        self, batches: Sequence[Batch], rates: Sequence[Rates], before: Callable[[], None]
    ) -> torch.Tensor:
        """The losses (steps,), on the device; ``before`` is called when the steps are to begin."""
        given = _tensors(batches, rates)
        key = tuple(t.shape for t in given)
        if key not in self._captured:
            self._captured[key] = self._capture(batches, rates)
        replay, inputs, losses = self._captured[key]
        torch._foreach_copy_(inputs, given)
        before()
        replay()
        return losses.clone()

    def _capture(
        self, batches: Sequence[Batch], rates: Sequence[Rates]
    ) -> tuple[Callable[[], None], list[torch.Tensor], torch.Tensor]:
        own = [{name: t.clone() for name, t in batch.items()} for batch in batches]
        own_rates = [[t.clone() for t in rate if isinstance(t, torch.Tensor)] for rate in rates]
        losses = own[0][next(iter(own[0]))].new_empty(len(own), dtype=self._changed[0].dtype)

        def work() -> None:
            losses.copy_(self._steps(own, own_rates))

        self._warm_up(work)
        return recorded(work), _tensors(own, own_rates), losses

    def _warm_up(self, work: Callable[[], None]) -> None:
        """Runs it where no capture can be in the way, and takes back what it changed."""
        before = [t.detach().clone() for t in self._changed]
        if torch.cuda.is_available():
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    work()
            torch.cuda.current_stream().wait_stream(side)
        else:
            work()
        with torch.no_grad():
            torch._foreach_copy_(self._changed, before)


def _tensors(batches: Sequence[Batch], rates: Sequence[Rates]) -> list[torch.Tensor]:
    found = [t for batch in batches for t in batch.values()]
    return found + [t for rate in rates for t in rate if isinstance(t, torch.Tensor)]
