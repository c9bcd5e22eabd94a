"""Rules on random samples of a loss, with one sample for all gradients of a step or one for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from ..checks import check, choice
from .loss import Loss, sample_numbers
from .rule import Oracle, Rule, gradient_calls
from .rules import ball


class Sampled(Oracle):
    """An oracle that uses the n-th of some losses for its n-th answer, and the last one for all further answers."""

    def __init__(self, losses: Sequence[Callable[[Any], Any]], alarms: list[Any]) -> None:
        super().__init__(losses[0])
        self.losses, self.alarms = losses, alarms

    def value(self, w: Any) -> Any:
        self._value = self.losses[min(self.calls, len(self.losses) - 1)]
        return super().value(w)

    def __call__(self, w: Any) -> Any:
        self._value = self.losses[min(self.calls, len(self.losses) - 1)]
        return super().__call__(w)


def _of_sample(loss: Loss, p: Any, y: Any, w: Any) -> Any:
    return loss.trace(w, p, y)


def sampled(base: Rule, loss: Loss, *, minibatch: Literal["same", "independent"] = "same") -> Rule:
    """The rule with its gradients taken on random samples of `loss`.

    Simulate it on the mean loss, so that observers record the mean loss and its gradient. The mean loss must have all
    parameters of `loss`. minibatch: "same" uses one sample for all gradients of a step, as most code for SAM does, and
    "independent" draws one for each.

    Raises TypeError for a loss without samples, ValueError for a rule that has noise already.

        network, batch = sf.losses.toy_network(), sf.losses.toy_network(batch_size=4)
        sf.simulate(network, sf.sampled(sf.sam(lr=.01, rho=.1), batch, minibatch="independent"), ...)
    """
    Rule.checked("base", base)
    choice("minibatch", minibatch, ("same", "independent"))
    check(
        isinstance(loss, Loss) and loss.samples > 0,
        f"loss={loss!r}: give a loss with samples, e.g. sf.losses.toy_network(batch_size=1)",
        TypeError,
    )
    direction = base.direction
    check(not base.draws, f"sampled of rule {base.name!r}: it has noise already; start from a rule without")
    which = tuple(range(gradient_calls(base))) if minibatch == "independent" else base.batches or (0,)
    n, blocks = loss.samples, 1 + max(which)

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        drawn = [x for vector in z for x in vector]
        samples = [sample_numbers(drawn[i * n : (i + 1) * n], loss.kind) for i in range(blocks)]
        oracle = Sampled([partial(_of_sample, loss, p, samples[i]) for i in which], grad.alarms)
        if direction is None:
            return base.step(w, v, oracle, p, ())
        g = direction(w, oracle, p)
        return ball(w, v, g, p, base.dampen_first) if base.heavy else (w - p.lr * g, v)

    return replace(
        base,
        name=f"{base.name}_sampled_{minibatch}_{loss.name}",
        step=step,
        draws=-(-n * blocks // loss.dim),  # noise comes in vectors of dim numbers, and these hold n * blocks of them
        kind="normal" if loss.kind == "normal" else "sign",
    )
