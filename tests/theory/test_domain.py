"""Every argument outside its domain is named, with its value and a remedy; the public face is complete."""

import inspect

import numpy as np
import pytest

from samfast import theory as T

GOOD = {
    "time": 1.0,
    "steps": 10,
    "eigenvalue": -1.0,
    "eigenvalues": [2.0, -1.0],
    "lr": 0.1,
    "rho": 0.05,
    "momentum": 0.5,
    "dampening": 0.1,
    "batch_size": 4,
    "curvature": -1.0,
    "other_curvature": 0.5,
    "shift": 0.2,
    "deficit": 0.1,
    "diffusion": 0.1,
    "dt": 0.1,
    "gradient_variance": 1.0,
    "start": 0.1,
    "velocity": 0.1,
    "limit": 1.0,
    "msd": 0.3,
    "paths": 100,
    "confidence": 0.9,
    "dof_per_path": 2.0,
    "relative_error": 0.1,
    "z": 2.0,
    "variance": 1.0,
    "variances": [1.0, 2.0],
    "mean": 0.5,
    "hessian": [[2.0, 1.0], [1.0, -2.0]],
    "eigenvectors": np.eye(2),
    "u": [0.1, -0.2],
    "v": [0.1, -0.2],
    "w": [0.1, -0.2],
    "gradient": [0.0, -1.0],
    "lipschitz": 1.0,
    "weight": 0.5,
    "spread": 0.1,
    "distance": 1e-4,
    "radius": 2.0,
    "density": 0.1,
    "first_squared": 0.01,
    "delta": 0.01,
    "drift": "plain",
    "noise": "unit",
    "scheme": "explicit",
    "initial": "thermal",
}
BAD = {
    "time": (-1.0, "time=-1: give a finite time"),
    "steps": (1.5, "steps=1.5: give a whole number"),
    "lr": (-0.1, "lr=-0.1: give a positive learning rate, e.g. lr=0.01"),
    "rho": (-0.05, "rho=-0.05: give a"),
    "momentum": (1.5, "momentum=1.5: give a momentum"),
    "dampening": (1.0, "dampening=1: give a dampening"),
    "batch_size": (0, "batch_size=0: give at least 1, e.g. batch_size=64"),
    "eigenvalue": (np.nan, "eigenvalue=nan:"),
    "other_curvature": (np.inf, "other_curvature=inf: give a finite number"),
    "curvature": (np.inf, "curvature=inf: give a finite number"),
    "shift": (np.inf, "shift=inf: give a finite difference"),
    "deficit": (2.0, "deficit=2: give 1 - s^2, at most 1"),
    "diffusion": (-1.0, "diffusion=-1: give a"),
    "dt": (0.0, "dt=0: give a positive time step"),
    "gradient_variance": (-1.0, "gradient_variance=-1: give a variance"),
    "limit": (0.0, "limit=0: give a positive distance"),
    "paths": (0, "paths=0: give at least 1, e.g. paths=10_000"),
    "confidence": (1.0, "confidence=1: give a level"),
    "start": ("x", "start='x': give a finite position"),
    "drift": ("fast", "drift='fast': give one of 'plain', 'chain', 'sgd'"),
    "noise": ("loud", "noise='loud': give one of"),
    "scheme": ("odd", "scheme='odd': give one of"),
    "initial": ("odd", "initial='odd': give one of"),
    "distance": (0.0, "distance=0: give a positive distance"),
    "radius": (-1.0, "radius=-1: give a positive distance"),
    "density": (0.0, "density=0: give a positive density"),
    "first_squared": (0.0, "first_squared=0: give a positive squared length"),
    "delta": (1.0, "delta=1: give a probability between 0 and 1"),
    "msd": (-1.0, "msd=-1: give a mean squared"),
    "hessian": ([[np.nan]], "hessian=nan: give finite entries"),
}
CONVEX = {"eigenvalue": 1.0, "eigenvalues": [2.0, 1.0]}  # where a negative eigenvalue is out of the domain
CONVEX_ONLY = (
    "bartlett",
    "worst_loss",
    "bounc",
    "escape_curvature",
    "overshoot",
    "step_determinant",
    "two_cycle",
    "wide_minima",
)
FUNCTIONS = [
    f for f in (getattr(T, name) for name in T.__all__) if inspect.isfunction(f) and f.__module__ != "samfast.theory.special"
]


def arguments(function):
    good = GOOD | CONVEX if function.__name__.startswith(CONVEX_ONLY) else GOOD
    return {name: good[name] for name in inspect.signature(function).parameters if name in good}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_bad_argument_is_named(function):
    call = arguments(function)
    function(**call)
    for name in call:
        if name in BAD:
            value, message = BAD[name]
            with pytest.raises(ValueError) as caught:
                function(**(call | {name: value}))
            assert str(caught.value).startswith(message), (name, str(caught.value))


def test_an_array_reports_its_first_bad_value():
    with pytest.raises(ValueError, match="lr=-2: give"):
        T.theorem2(1.0, eigenvalue=-1.0, lr=[0.1, -2.0, -3.0])


def test_momentum_one_only_where_nothing_divides_by_the_friction():
    call = {"curvature": -1.0, "diffusion": 0.1, "lr": 0.1, "momentum": 1.0}
    assert np.isfinite(T.momentum_sde_moments(1.0, **call).var)
    assert np.isfinite(T.momentum_em_moments(10, **call).var)
    with pytest.raises(ValueError, match=r"momentum=1: give a momentum of at least 0 and below 1, e.g. momentum=0.9"):
        T.theorem3_variance(1.0, **call)


def test_everything_is_documented_and_listed():
    assert sorted(T.__all__) == sorted(set(T.__all__))
    for name in T.__all__:
        assert inspect.getdoc(getattr(T, name))
        assert f"``{name}``" in T.__doc__


def test_keyword_only_after_the_first():
    for function in FUNCTIONS:
        parameters = list(inspect.signature(function).parameters.values())
        assert all(p.kind is p.KEYWORD_ONLY for p in parameters[1:]), function.__name__


def test_results_are_float64_and_broadcast():
    assert isinstance(T.theorem2(1, eigenvalue=-1, lr=0.1), np.float64)
    assert isinstance(T.em_variance(10, curvature=-1, diffusion=0.1, dt=0.1), np.float64)
    wide = T.theorem3(np.ones((5, 1, 1)), eigenvalue=np.ones((4, 1)), lr=0.1, momentum=np.zeros(3))
    assert wide.shape == (5, 4, 3) and wide.dtype == np.float64
    assert T.em_variance(np.arange(4), curvature=1.0, diffusion=0.1, dt=0.1).shape == (4,)
    low, high = T.msd_interval([0.1, 0.2], paths=[[10], [20]])
    assert low.shape == high.shape == (2, 2)
