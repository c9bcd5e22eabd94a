"""Noise for any rule, either on its gradients (`noisy`) or in its diffusion limit (`diffusion`).

The minibatch gradient is grad(w) + xi with E xi = 0 and Var xi_i = sigma_i^2. On a quadratic the variance can be
|eigenvalue_i|/batch_size, since Kim et al., eq. 23, take the absolute Hessian as the covariance of one sample's gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from .. import tracing as T
from ..checks import check, choice
from .parameters import SECOND, Factor, NoiseKind, Sweep, columns
from .rule import Oracle, Rule, gradient_calls
from .rules import ball

MINIBATCH = ("descent", "same", "independent", "unit")
Minibatches: TypeAlias = Literal["descent", "same", "independent", "unit"]
KINDS = ("normal", "sign")
Sigma: TypeAlias = Sweep | Factor | Callable[[Any, Any], Any] | None
EITHER = frozenset({"sigma"})  # parameters that may be one number or one per coordinate


class Minibatch(Oracle):
    """An oracle that answers grad(w) + xi and loss(w) + xi.w, with noise xi(n) of its own for the n-th answer, n = 0, 1, ...

    xi(n, w) is a vector, or None for an exact answer. fixed: whether xi is the same at every w.
    """

    def __init__(self, exact: Oracle, xi: Callable[[int, Any], Any], fixed: bool = True) -> None:
        super().__init__(exact._value)
        self.xi, self.alarms, self.fixed = xi, exact.alarms, fixed

    def _next(self, w: Any) -> Any:
        self.calls += 1
        return self.xi(self.calls - 1, w)

    def value(self, w: Any) -> Any:
        xi = self._next(w)
        check(
            xi is None or self.fixed,
            "sigma: this rule differentiates the loss itself (as drift='chain' does), and the noise of a loss is known for a "
            "sigma that does not depend on w only; give numbers",
            T.TraceError,
        )
        return self._value(w) if xi is None else self._value(w) + T.dot(xi, w)

    def __call__(self, w: Any) -> Any:
        xi, slope = self._next(w), super().__call__(w)
        self.calls -= 1
        return slope if xi is None else slope + xi


class Columns:
    """The factor S of a covariance, held as its columns, with the product S*z in place of a standard deviation times z."""

    def __init__(self, columns: list[Any]) -> None:
        self.columns = columns

    def __mul__(self, z: Any) -> Any:
        total = self.columns[0] * z[0]
        for j, column in enumerate(self.columns[1:], 1):
            total = total + column * z[j]
        return total


def times(scale: Any, deviation: Any, z: Any) -> Any:
    """The product scale*deviation*z, where the deviation is a number, a vector or `Columns`, and scale is multiplied first."""
    if isinstance(deviation, Columns):
        return Columns([scale * column for column in deviation.columns]) * z
    return scale * deviation * z


def _sigma(params: dict[str, Any], sigma: Any, batch_size: Any) -> Callable[[Any, Any], Any]:
    """The standard deviation of the gradient noise, as a function of p and w; its parameters are added to `params`."""
    check(
        (sigma is None) != (batch_size is None),
        f"sigma={sigma!r}, batch_size={batch_size!r}: give one of them, e.g. sigma=0.1 (standard deviation of the "
        "gradient noise) or, on a quadratic, batch_size=64",
    )
    if callable(sigma):
        return _function(sigma)
    if isinstance(sigma, Factor):
        names = columns("sigma", sigma)
        params.update(names)
        return lambda p, w: Columns([getattr(p, name) for name in names])
    if sigma is not None:
        params["sigma"] = sigma
        return lambda p, w: p.sigma
    params["batch_size"] = batch_size

    def deviation(p: Any, w: Any) -> Any:
        check(
            "eigenvalue" in vars(p),
            f"batch_size={batch_size!r}: the covariance |eigenvalue|/batch_size needs a loss "
            "with a parameter 'eigenvalue', such as sf.losses.quadratic; give sigma= instead",
        )
        return T.sqrt(T.absolute(p.eigenvalue) / p.batch_size)

    return deviation


def _function(sigma: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A function sigma(w, p) of the user's as a standard deviation: of one number, a vector, or rows of a factor."""
    check(not isinstance(sigma, type), f"sigma={sigma!r:.60}: give numbers or a function of (w, p)", TypeError)

    def deviation(p: Any, w: Any) -> Any:
        made = sigma(w, p)
        if isinstance(made, T.Vector | T.Expr | float | int) and not isinstance(made, bool):
            return made
        good = isinstance(made, list | tuple) and all(
            isinstance(row, list | tuple) and len(row) == len(made[0]) for row in made
        )
        check(
            good and len(made) == len(w) and 1 <= len(made[0]) <= len(w),
            f"sigma: the function returned {made!r:.60}; return a number, a vector, or a factor as a list of rows, one for "
            "each coordinate, of at most as many numbers",
            T.TraceError,
        )
        return Columns([T.Vector(T.lift(row[j]) for row in made) for j in range(len(made[0]))])

    return deviation


def _numbers(**given: Any) -> frozenset[str]:
    """The names of arguments that must keep the bounds in parameters.BOUNDS: all that were given, but for a factor."""
    return frozenset(k for k, v in given.items() if v is not None and not isinstance(v, Factor) and not callable(v))


def noisy(
    base: Rule,
    *,
    sigma: Sigma = None,
    batch_size: Sweep | None = None,
    minibatch: Minibatches = "descent",
    kind: NoiseKind = "normal",
) -> Rule:
    """The rule on minibatch gradients grad(w) + xi, with noise xi of mean 0.

    sigma: the standard deviation of xi, in 1/length. It is one number, or sf.vector(...) for one per coordinate, or
    sf.matrix(S) for noise xi = S z with covariance S S^T. A function sigma(w, p) makes it depend on the point w at which the
    gradient is asked for: it returns a number, a vector, or the rows of a factor S(w); p has the parameters of loss and rule.
    batch_size: give this in place of sigma for the variance |eigenvalue|/batch_size on a quadratic (Kim et al., eq. 23).
    kind: "normal", or "sign" for noise that is +sigma or -sigma.
    minibatch: "descent" puts noise on the last gradient that a step asks for (for SAM that at w^p) and leaves the ascent
    exact. "same" uses one xi for all gradients of a step, as most code does, and for `sf.rules.m_sam` one for each part.
    "independent" draws one for each gradient. "unit" leaves all of them exact and adds xi to the finished direction (the
    additive model of Kim et al., Theorem 2).

    A rule with state takes it too, "unit" apart, whose xi would be added to the direction of w' = w - lr*direction.

    Raises ValueError if the rule has noise already or is a pair, and for "unit" with a rule of another form.
    """
    Rule.checked("base", base)
    choice("minibatch", minibatch, MINIBATCH)
    choice("kind", kind, KINDS)
    check(not base.draws, f"noisy of rule {base.name!r}: it has noise already; start from a rule without")
    check(
        not any(name.endswith(SECOND) for name in base.params),
        f"noisy of rule {base.name!r}: the last gradient of a pair is that of its second rule alone; give each rule its noise, "
        "as in sf.paired(sf.noisy(first, ...), sf.noisy(second, ...))",
    )
    direction = base.direction
    check(
        direction is not None or minibatch != "unit",
        f"minibatch='unit': it adds noise to the direction of a rule w' = w - lr*direction, which rule {base.name!r} has not; "
        "give 'descent', 'same' or 'independent'",
    )
    params = dict(base.params)
    deviation = _sigma(params, sigma, batch_size)
    calls = gradient_calls(base)
    check(calls > 0, f"noisy of rule {base.name!r}: it asks for no gradient, so that there is nothing to add noise to")
    last = calls - 1
    batches = tuple(range(calls)) if minibatch == "independent" else base.batches if minibatch == "same" else ()
    draws = 1 + max(batches, default=0)

    fixed = not callable(sigma)

    def noise(p: Any, z: Any, call: int, w: Any) -> Any:
        if minibatch == "unit" or (minibatch == "descent" and call < last):
            return None
        return deviation(p, w) * z[batches[call] if batches else 0]

    def drawn(w: Any, grad: Oracle, p: Any, z: Any) -> Any:
        assert direction is not None
        g = direction(w, Minibatch(grad, lambda call, u: noise(p, z, call, u), fixed), p)
        return g + deviation(p, w) * z[0] if minibatch == "unit" else g

    def step(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        if direction is None:
            return base.step(w, v, Minibatch(grad, lambda call, u: noise(p, z, call, u), fixed), p, ())
        g = drawn(w, grad, p, z)
        return ball(w, v, g, p, base.dampen_first) if base.heavy else (w - p.lr * g, v)

    return replace(
        base,
        name=f"{base.name}_noisy_{minibatch}",
        step=step,
        params=params,
        draws=draws,
        kind=kind,
        either=EITHER,
        bounded=base.bounded | _numbers(sigma=sigma, batch_size=batch_size),
    )


def diffusion(
    base: Rule,
    *,
    sigma: Sigma = None,
    batch_size: Sweep | None = None,
    dt: Sweep | None = None,
    scheme: Literal["explicit", "symplectic"] = "symplectic",
    kind: NoiseKind = "normal",
) -> Rule:
    """Euler-Maruyama steps of the rule's diffusion limit.

    Without momentum the limit is dw = -direction(w) dt + sqrt(2D) dW with 2D = lr*sigma^2 (Kim et al., eq. 11).
    With momentum it is dw = v dt, M dv = -phi M v dt - direction(w) dt + sqrt(2D) dW, with M = lr/(1 - dampening) and
    phi = (1 - momentum)/lr (Kim et al., Theorem 3).

    dt: the length of a step, so that step n is at time n*dt; one update of the algorithm takes a time of lr, the default.
    scheme: with momentum, "symplectic" moves v first and then w by the new v, "explicit" moves both from the old state.
    At dt=lr the symplectic scheme is the heavy ball with minibatch="unit", on the same random numbers, with v = -m.
    sigma, batch_size: as in `noisy`; with a factor S, 2D = lr*S S^T. A function sigma(w, p) is taken at the old w, which
    is the equation of Ito. kind: "normal", or "sign" for a weak scheme of the same
    order. The noise is dW = -sqrt(dt) z, with z the random numbers.

    Raises ValueError if the rule has noise already or is not of the form w' = w - lr*direction.
    """
    Rule.checked("base", base)
    choice("scheme", scheme, ("explicit", "symplectic"))
    choice("kind", kind, KINDS)
    direction = base.direction
    check(
        direction is not None and not base.draws,
        f"diffusion of rule {base.name!r}: it needs a rule without noise and of the form w' = w - lr*direction, with heavy-"
        "ball momentum or none, whose limit is known; make one by sf.gd, sf.sam or sf.rule without state=",
    )
    params = dict(base.params)
    deviation = _sigma(params, sigma, batch_size)
    if dt is not None:
        params["dt"] = dt

    def overdamped(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        assert direction is not None
        h = p.lr if dt is None else p.dt
        root = p.lr if dt is None else T.sqrt(p.lr * p.dt)
        return (w - times(root, deviation(p, w), z[0])) - h * direction(w, grad, p), v  # fewer operations wait for the gradient

    def underdamped(w: Any, v: Any, grad: Oracle, p: Any, z: Any) -> tuple[Any, Any]:
        assert direction is not None
        h = p.lr if dt is None else p.dt
        root = p.lr if dt is None else T.sqrt(p.lr * p.dt)
        inverse_mass = (1 - p.dampening) / p.lr
        friction = 1 - h * ((1 - p.momentum) / p.lr)
        u = friction * v - (h * inverse_mass) * direction(w, grad, p) - times(root * inverse_mass, deviation(p, w), z[0])
        return (w + h * (u if scheme == "symplectic" else v)), u

    name = f"{base.name}_diffusion" + (f"_{scheme}" if base.heavy else "")
    return replace(
        base,
        name=name,
        step=underdamped if base.heavy else overdamped,
        params=params,
        draws=1,
        kind=kind,
        either=EITHER,
        bounded=base.bounded | _numbers(sigma=sigma, batch_size=batch_size, dt=dt),
        diffusive=True,
    )
