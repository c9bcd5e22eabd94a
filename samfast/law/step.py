"""One step of a rule as a Gaussian law, w' = m(w) + S(w) z, taken from the same trace that becomes a compiled program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import tracing as T
from ..checks import check
from ..codegen.compose import clash, trace_model
from ..model.loss import Loss, plain
from ..model.observe import position
from ..model.rule import Rule

MOST = 2  # coordinates of a grid


@dataclass(frozen=True, eq=False)
class OneStep:
    """The step w' = m(w) + S(w) z with standard normal z; `length` is the time that it takes, lr or dt."""

    name: str
    coordinates: Sequence[str]  # names of the symbols of w
    mean_of: Sequence[T.Expr]  # m, dim numbers
    factor_of: Sequence[T.Expr]  # S, dim rows of as many columns as there are random numbers
    values: Mapping[str, float]  # of every other symbol; the random numbers are 0
    length: float
    diffusive: bool  # the rule was made by sf.diffusion

    @property
    def dim(self) -> int:
        return len(self.coordinates)

    def _evaluate(self, outs: Sequence[T.Expr], w: np.ndarray) -> np.ndarray:
        env = {**self.values, **{name: w[..., i] for i, name in enumerate(self.coordinates)}}
        with np.errstate(all="ignore"):
            made = np.stack([np.broadcast_to(v, w.shape[:-1]) for v in T.evaluate(outs, env)], -1)
        if not np.isfinite(made).all():
            bad = w[~np.isfinite(made).all(-1)][0]
            raise ValueError(f"grid: rule {self.name!r} gives no finite number at w={bad.tolist()}; leave this point out")
        return made

    def mean(self, w: np.ndarray) -> np.ndarray:
        """The mean of w' given w; both have shape (..., dim)."""
        return self._evaluate(self.mean_of, w)

    def covariance(self, w: np.ndarray) -> np.ndarray:
        """The covariance S S^T of w' given w, shape (..., dim, dim)."""
        made = self._evaluate(self.factor_of, w)
        factor = made.reshape(*made.shape[:-1], self.dim, -1)
        return factor @ np.swapaxes(factor, -1, -2)

    def drift(self, w: np.ndarray) -> np.ndarray:
        """The drift (m(w) - w)/length of the diffusion limit, shape (..., dim)."""
        return (self.mean(w) - w) / self.length

    def diffusion(self, w: np.ndarray) -> np.ndarray:
        """The matrix D = S S^T/(2 length) of the diffusion limit, shape (..., dim, dim)."""
        return self.covariance(w) / (2 * self.length)


def one_step(loss: Any, rule: Any) -> OneStep:
    """Trace one step; an error says why its law is not a Gaussian of one or two coordinates.

    S holds the derivatives of w' by the random numbers z, and m is w' at z = 0. The two describe the step completely where
    these derivatives do not depend on z.
    """
    plain(loss)
    Rule.checked("rule", rule)
    _suitable(loss, rule)
    observer = position()
    clash(loss, rule, observer)
    traced = trace_model(loss, rule, observer, frozenset(), False)
    w = loss.symbols()[0]
    noise = [T.var(f"z{i}", "noise") for i in range(traced.draws)]
    mean = [T.lift(x) for x in traced.new["w"]]
    factor = [s for x in mean for s in T.gradient(x, noise)]
    drawn = {z.key for z in noise}
    check(
        not any(e.key in drawn for e in T.topological(factor)),
        f"rule {rule.name!r}: on this loss w' is no linear function of the noise, so its law is no Gaussian; take "
        "minibatch='descent' or 'unit', or simulate paths by sf.simulate",
    )
    given = {**loss.params, **rule.params}
    values = {z.args[0]: 0.0 for z in noise}
    for name, symbol in traced.params.items():
        if name in given:
            many = zip(symbol, given[name], strict=True) if isinstance(symbol, T.Vector) else [(symbol, given[name])]
            values.update({s.args[0]: float(x) for s, x in many})
    names = [x.args[0] for x in w]
    unknown = {e.args[0] for e in T.topological([*mean, *factor]) if e.op in ("var", "sign")} - {*names, *values}
    check(
        not unknown,
        f"rule {rule.name!r}: its step changes with the number of updates; give one whose parameters are constant",
    )
    length = float(rule.params["dt"] if rule.diffusive and "dt" in rule.params else rule.params["lr"])
    return OneStep(rule.name, names, mean, factor, values, length, rule.diffusive)


def _suitable(loss: Loss, rule: Rule) -> None:
    check(
        loss.dim <= MOST,
        f"loss {loss.name!r} has {loss.dim} coordinates: a grid is for one or two; simulate paths by sf.simulate",
    )
    for name, value in rule.params.items():
        one = np.asarray(value).dtype.kind in "iuf" and np.ndim(value) == int(name in rule.vectors)
        check(
            one, f"{name}: rule {rule.name!r} has several values of it, or a schedule; choose one by rule.replace({name}=...)"
        )
    check(
        not rule.slots and not rule.state,
        f"rule {rule.name!r}: with momentum or another state the noise moves w and the state together, and their density on a "
        "grid is degenerate; leave momentum out, or simulate paths by sf.simulate",
    )
    check(rule.draws > 0, f"rule {rule.name!r}: it has no noise; give e.g. sf.noisy(rule, sigma=0.1)")
    check(
        rule.kind == "normal",
        f"rule {rule.name!r}: its noise is of kind {rule.kind!r}, not normal; give kind='normal', or simulate paths",
    )
    check("lr" in rule.params, f"rule {rule.name!r}: it has no parameter lr, by which time is counted; make it by sf.rule")
