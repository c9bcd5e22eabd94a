"""The flow that a rule follows for small lr, with its vector field, trajectories and manifolds of a saddle.

`cases` classifies the positions of a SAM trajectory near a saddle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import tracing as T
from ..checks import check, choice, instance, integer, numbers, picture, real_array, results
from ..model.critical_points import corners, critical_points
from ..model.loss import Loss, plain
from ..model.parameters import Box, Numbers, Parameters, unscheduled
from ..model.rule import Oracle, Rule
from ..plotting import STYLE
from .curvature import grid_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OFFSET = 1e-5  # distance of a manifold's first point from the saddle, divided by the longest side of the box
STEEP = 1e100  # a Jacobian beyond this comes from rho/|grad| at gradient 0, where the flow has no derivative
MOST = 20_000  # at most this many evaluations of the field on one trajectory
TOLERANCE = 1e-10  # relative and absolute tolerance of the integrator


@dataclass(frozen=True, eq=False)
class Flow:
    """The flow dw/dt = -direction(w) that a rule follows on a loss in the limit of small lr.

    The right-hand side is -grad(w) for gd and -grad(w^p) for SAM (Kim et al., eq. 6 and 16). Momentum and noise are left
    out. One update of the rule corresponds to a time of lr. Raises TypeError for a rule without a direction, ValueError for a
    loss or a rule with several values of a parameter.
    """

    loss: Loss
    rule: Rule

    def __post_init__(self) -> None:
        plain(self.loss)
        check(
            isinstance(self.rule, Rule) and self.rule.direction is not None,
            f"rule={self.rule!r}: it has no direction; give one made by sf.gd, sf.sam or sf.rule",
            TypeError,
        )
        for name, value in self.rule.params.items():
            unscheduled(name, value, "a flow has no updates to count; give one number")
            check(np.ndim(value) == 0 and np.ndim(getattr(value, "values", 0)) == 0, f"{name}={value!r}: give one number")

    @cached_property
    def _traced(self) -> tuple[list[T.Expr], list[T.Expr]]:
        """Returns (w, -direction(w)) as expressions of the coordinates, with the parameters' values put in."""
        w, loss, rule = self.loss.symbols()[0], self.loss, self.rule
        values = {k: T.Vector(T.lift(float(x)) for x in v) if k in loss.vectors else float(v) for k, v in loss.params.items()}
        p = Parameters(
            f"the loss {loss.name!r} with the rule {rule.name!r}", values | {k: float(v) for k, v in rule.params.items()}
        )
        assert rule.direction is not None
        return list(w), list(-rule.direction(w, Oracle(lambda u: loss.trace(u, p)), p))

    @cached_property
    def _slopes(self) -> list[T.Expr]:
        w, field = self._traced
        return [x for f in field for x in T.gradient(f, w)]

    def _evaluate(self, outs: list[T.Expr], w: Any) -> np.ndarray:
        x = real_array("w", w, [1.0, 0.0])
        check(
            x.ndim >= 1 and x.shape[-1] == self.loss.dim,
            f"w has shape {x.shape}: the last axis must have length {self.loss.dim}",
        )
        env = {s.args[0]: x[..., i] for i, s in enumerate(self._traced[0])}
        return np.stack([np.broadcast_to(v, x.shape[:-1]) for v in T.evaluate(outs, env)], -1)

    def __call__(self, w: Numbers) -> np.ndarray:
        """dw/dt at w; both have shape (..., dim)."""
        return self._evaluate(self._traced[1], w)

    def jacobian(self, w: Numbers) -> np.ndarray:
        """The derivatives of dw/dt at w, shape (..., dim, dim), with the derivative by w_j in column j.

        For SAM at a critical point they are -(H + rho H^2), with H the Hessian of the loss (Kim et al., eq. 19).
        """
        slopes = self._evaluate(self._slopes, w)
        return slopes.reshape(*slopes.shape[:-1], self.loss.dim, self.loss.dim)

    def field(self, box: Box, shape: Sequence[int] = (25, 25)) -> tuple[np.ndarray, np.ndarray]:
        """Returns (points, dw/dt) on a grid over a box, both of shape (*shape, dim) (Kim et al., Fig. 2, 5)."""
        points = np.stack(np.meshgrid(*grid_axes(*corners(box, self.loss.dim), shape), indexing="ij"), -1)
        return points, self(points)

    def plot(self, box: Box, path: Any = None, *, shape: Sequence[int] = (25, 25), starts: int = 40) -> Figure:
        """Draw the flow over a box of the plane and return the figure, which is also saved to `path` if that is given.

        Arrows show the direction of the flow and their colour its speed; marks show the critical points of the loss. shape:
        the number of arrows along each coordinate. starts: the number of random starts in the search for critical points.
        Raises ValueError for a loss of other than two coordinates.
        """
        check(self.loss.dim == 2, f"plot: the loss has {self.loss.dim} coordinates; it draws two")
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        points, velocity = self.field(box, shape)
        speed = np.linalg.norm(velocity, axis=-1)
        along = velocity / np.where(speed > 0, speed, 1.0)[..., None]
        with rc_context(STYLE):
            figure = Figure(figsize=(6.4, 4.8), layout="constrained")
            axes = figure.add_subplot()
            arrows = axes.quiver(*np.moveaxis(points, -1, 0), *np.moveaxis(along, -1, 0), np.log10(np.maximum(speed, 1e-300)))
            figure.colorbar(arrows, label="log$_{10}$ of the speed |dw/dt|")
            found = critical_points(self.loss, box, starts=starts)
            for kind, mark in (("minimum", "o"), ("saddle", "X"), ("maximum", "^"), ("degenerate", "s")):
                some = np.array([c.position for c in found if c.kind == kind]).reshape(-1, 2)
                if len(some):
                    axes.plot(*some.T, mark, color="white", markeredgecolor="black", label=kind)
            if found:
                axes.legend(loc="upper left", bbox_to_anchor=(0.0, 1.12), ncols=4)
            axes.set(xlabel="$w_0$  (length)", ylabel="$w_1$  (length)")
            if path is not None:
                figure.savefig(picture("path", path), dpi=150)
        return figure

    def trajectory(
        self, start: Numbers, time: float, *, box: Box | None = None, points: int = 400
    ) -> tuple[np.ndarray, np.ndarray]:
        """Integrate the flow from a start for a time, backwards if time < 0.

        start: shape (dim,). box: if given, the trajectory ends early where it leaves the box.
        Returns (times, positions) of shapes (points,), (points, dim), at equal intervals of time.
        Raises ValueError if the integrator fails or needs more than 20,000 evaluations, e.g. because the flow diverges.
        """
        from scipy.integrate import solve_ivp

        instance("time", time, (int, float, np.number), "give a number, e.g. time=10.0")
        numbers("time", time)
        points = integer("points", points, 2, 400, most=10**7)
        check(time != 0, "time=0: give a time, negative for the past")
        begin = np.asarray(numbers("start", start), float)
        check(begin.shape == (self.loss.dim,), f"start has shape {begin.shape}: give shape ({self.loss.dim},)")
        events: list[Callable[..., float]] = []
        if box is not None:
            low, high = corners(box, self.loss.dim)

            def inside(_: float, w: np.ndarray) -> float:
                return float(np.minimum(w - low, high - w).min())

            inside.terminal = True  # type: ignore[attr-defined]
            events.append(inside)
        calls = 0

        def velocity(t: float, w: np.ndarray) -> np.ndarray:
            nonlocal calls
            calls += 1
            check(
                calls <= MOST,
                f"time={time}: the integration needs more than {MOST:,} evaluations and has come to {t:.6g}, "
                "maybe because the flow runs away there; give box=, or a shorter time",
            )
            return self(w)

        with np.errstate(all="ignore"):
            done = solve_ivp(
                velocity,
                (0.0, float(time)),
                begin,
                method="LSODA",
                dense_output=True,
                events=events,
                rtol=TOLERANCE,
                atol=TOLERANCE,
            )
        check(done.success, f"time={time}: the integration stopped at {done.t[-1]:.6g} ({done.message}); give a shorter time")
        times = np.linspace(0.0, done.t[-1], points)
        return times, done.sol(times).T

    def manifold(
        self, point: Numbers, kind: Literal["stable", "unstable"], *, box: Box, time: float = 100.0, points: int = 400
    ) -> list[np.ndarray]:
        """The branches of the stable or unstable manifold of a critical point: arrays (points, dim), two for each eigenvector.

        Each branch starts beside the point on an eigenvector of the Jacobian and follows the flow, into the past for the
        stable manifold, until it leaves the box or `time` is over. A manifold that is a curve consists of its two branches;
        a stable one of a saddle in the plane separates basins of attraction. Raises ValueError where the flow has no
        derivative or turns around the point (complex eigenvalues).
        """
        choice("kind", kind, ("stable", "unstable"))
        centre = np.asarray(numbers("point", point), float)
        check(centre.shape == (self.loss.dim,), f"point has shape {centre.shape}: give shape ({self.loss.dim},)")
        instance("time", time, (int, float, np.number), "give a number, e.g. time=100.0")
        numbers("time", time, above=0.0, example=100.0)
        low, high = corners(box, self.loss.dim)
        jacobian = self.jacobian(centre)
        check(
            float(np.abs(jacobian).max()) < STEEP,
            f"point={point!r}: the flow of rule {self.rule.name!r} has no derivative there; use gd or SAM with constant rho",
        )
        values, vectors = np.linalg.eig(jacobian)
        check(bool(np.isreal(values).all()), f"point={point!r}: the flow turns around it; its manifolds are no curves")
        sign = -1.0 if kind == "stable" else 1.0
        return [
            self.trajectory(
                centre + side * OFFSET * float((high - low).max()) * vectors[:, i].real, sign * time, box=box, points=points
            )[1]
            for i in np.flatnonzero(sign * values.real > 0)
            for side in (1.0, -1.0)
        ]


def cases(w: Numbers, perturbed: Numbers, boundary: Callable[[Any], Any], saddle: Numbers, *, near: float) -> np.ndarray:
    """Classify each position of a SAM trajectory near a saddle as Case I, II or III of Kim et al., section 4.1.

    The saddle lies on the boundary of two basins, which is its stable manifold under GD. Returns integers of shape (...):

    3 if w and the perturbed point lie in different basins.

    2 if they lie in the same basin, w is within `near` of the boundary and farther than `near` from the saddle.

    1 if they lie in the same basin and w is farther than `near` from both; there SAM behaves like GD.

    0 if they lie in the same basin and w is within `near` of the saddle; the paper does not treat this case.

    w, perturbed: shape (..., dim), as recorded by observe.position and observe.perturbed. saddle: shape (dim,).
    boundary(w): a function with different signs in the two basins. It is called with an array (dim, ...), so that w[0] is the
    first coordinate, as in a loss. The distance of w from the boundary is taken as |boundary(w)|/|grad boundary(w)|.
    near: a length; the paper gives no value.
    """
    a, b = real_array("w", w), real_array("perturbed", perturbed)
    centre = np.asarray(numbers("saddle", saddle), float)
    check(a.shape == b.shape and a.ndim >= 1, f"perturbed has shape {b.shape} and w {a.shape}: give both one shape")
    check(centre.shape == a.shape[-1:], f"saddle has shape {centre.shape}: give shape {a.shape[-1:]}, as w has it last")
    numbers("near", near, above=0.0, example=0.1)
    side, ahead = (results("boundary", boundary, np.moveaxis(x, -1, 0), x.shape[:-1], "lambda w: w[0]") for x in (a, b))
    crossed = np.sign(side) * np.sign(ahead) < 0
    at_saddle = np.linalg.norm(a - centre, axis=-1) <= near
    at_boundary = np.abs(side) <= near * np.linalg.norm(_slope(boundary, a), axis=-1)
    return np.where(crossed, 3, np.where(at_saddle, 0, np.where(at_boundary, 2, 1)))


def _slope(f: Callable[[Any], Any], w: np.ndarray) -> np.ndarray:
    """The gradient of f at each w by central differences; w and the result have shape (..., dim)."""
    h = 1e-6 * max(1.0, float(np.abs(w).max(initial=0.0)))
    steps = h * np.eye(w.shape[-1])
    ends = [[np.asarray(f(np.moveaxis(w + s * e, -1, 0)), float) for s in (1, -1)] for e in steps]
    return np.stack([np.broadcast_to((up - down) / (2 * h), w.shape[:-1]) for up, down in ends], -1)
