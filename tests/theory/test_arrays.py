"""Every closed form takes arrays: it broadcasts, and each entry is the value of a call with that entry alone."""

import inspect
import itertools

import numpy as np
import pytest

from samfast import theory as T

# one value of each argument, and others of it that are valid beside every other value here
VALUES = {
    "time": [0.5, 2.0],
    "steps": [3, 17],
    "eigenvalue": [-0.9, -1.1],
    "curvature": [-0.4, -0.9],
    "other_curvature": [0.3, 0.6],
    "shift": [0.1, 0.2],
    "deficit": [0.1, 0.3],
    "diffusion": [0.1, 0.3],
    "gradient_variance": [1.0, 2.0],
    "lr": [0.05, 0.1],
    "dt": [0.02, 0.05],
    "rho": [0.1, 0.3],
    "batch_size": [1.0, 4.0],
    "momentum": [0.5, 0.9],
    "dampening": [0.0, 0.2],
    "start": [0.05, 0.08],
    "velocity": [0.0, 0.3],
    "limit": [0.6, 1.0],
    "variance": [1.0, 2.0],
    "mean": [0.1, 0.4],
    "msd": [0.1, 0.2],
    "paths": [100.0, 1000.0],
    "dof_per_path": [1.0, 2.0],
    "confidence": [0.9, 0.95],
    "relative_error": [0.1, 0.2],
    "z": [2.0, 3.0],
    "lipschitz": [0.5, 1.0],
    "weight": [0.4, 0.6],
    "spread": [0.1, 0.2],
    "x": [0.3, -0.4],
    "y": [0.1, 0.7],
    "a": [0.3, 0.4],
    "b": [0.1, 0.7],
    "s": [0.3, 0.4],
    "s1": [0.3, 0.4],
    "s2": [0.1, 0.7],
    "u": [0.1, 0.2],
    "distance": [1e-4, 2e-4],
    "radius": [1.0, 2.0],
    "density": [0.1, 0.2],
    "first_squared": [0.01, 0.02],
    "delta": [0.01, 0.1],
}
POSITIVE = {"two_cycle_amplitude", "two_cycle_loss", "two_cycle_capture", "wide_minima_remainder"}  # of its eigenvalue
LAST = {"eigenvalues": [1.0, 0.5], "variances": [1.0, 0.5], "w": [0.3, 0.4], "v": [0.3, 0.4], "gradient": [0.0, -1.0]}
MATRIX = {"hessian": [[2.0, 0.5], [0.5, -1.0]], "eigenvectors": [[0.6, -0.8], [0.8, 0.6]]}
WORDS = {
    "drift",
    "noise",
    "scheme",
    "version",
    "minibatch",
    "initial",
    "paired",
    "as_printed",
    "dampen_first",
    "terms",
    "nodes",
}
FUNCTIONS = [n for n in T.__all__ if inspect.isfunction(getattr(T, n)) and n != "toy_network_sgd_window"]


def arguments(name):
    """(arguments that vary, arguments with an axis of their own) of a function."""
    flat, whole = {}, {}
    for parameter in inspect.signature(getattr(T, name)).parameters:
        if parameter in MATRIX:
            whole[parameter] = np.array(MATRIX[parameter])
        elif parameter in LAST or (parameter == "u" and "bouncing" in name):
            whole[parameter] = np.array(LAST.get(parameter, [0.1, 0.2]))
        elif parameter not in WORDS:
            flat[parameter] = np.array(VALUES[parameter])
    if name in POSITIVE or name == "wide_minima_drift":
        flat["eigenvalue"] = -flat["eigenvalue"]
    return flat, whole


def parts(result):
    if isinstance(result, T.Stability):
        return [result.verdict, result.spectral_radius, *result.window, result.verdicts, result.curvatures, result.multipliers]
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_broadcast(name):
    """Two arguments on one axis each, the others along a third: entry by entry."""
    function = getattr(T, name)
    flat, whole = arguments(name)
    shapes = {k: [(2, 1, 1), (1, 2, 1), (1, 1, 2)][min(i, 2)] for i, k in enumerate(flat)}
    full = np.broadcast_shapes(*shapes.values()) if shapes else (2, 2, 2)
    many = {k: v.reshape(shapes[k]) for k, v in flat.items()}
    copies = {k: np.broadcast_to(v, (*full, *v.shape)) for k, v in whole.items()}
    with np.errstate(all="ignore"):
        got = parts(function(**many, **copies))
        for index in np.ndindex(full):
            one = {k: np.broadcast_to(v, full)[index] for k, v in many.items()}
            for array, alone in zip(got, parts(function(**one, **whole)), strict=True):
                alone = np.asarray(alone)
                array = np.broadcast_to(array, (*full, *alone.shape))  # one of several results may not depend on all
                if alone.dtype.kind == "U":
                    assert (array[index] == alone).all()
                else:
                    np.testing.assert_allclose(array[index], alone, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_that_do_not_fit_are_named(name):
    """Every pair of arguments, with 3 and 2 entries, with none and 2: one line with the names and the shapes."""
    flat, whole = arguments(name)
    function, pairs, refused = getattr(T, name), [*itertools.combinations(flat, 2)], 0
    for (one, other), many in itertools.product(pairs, (3, 0)):
        given = {k: v[0] for k, v in flat.items()} | whole | {one: np.full(many, flat[one][0]), other: flat[other]}
        try:
            function(**given)  # two results of one function may each depend on one of the two arguments
        except ValueError as error:
            refused, text = refused + 1, str(error)
            both = f"{one} ({many},)" in text and f"{other} (2,)" in text and "; give" in text
            empty = many == 0 and f"{one} has shape (0,): give at least one" in text
            assert (both or empty) and "\n" not in text
    assert refused > 0 or not pairs


def test_theorem_1_over_a_grid():
    """10,980 settings in one call: verdicts, windows and radii of a sweep over eigenvalue, rho and momentum."""
    e, rho, momentum = np.linspace(-3, 3, 61), np.linspace(0, 2, 60), np.array([0.0, 0.5, 0.9])
    grid = T.theorem1(e[:, None, None, None], rho=rho[:, None], momentum=momentum, lr=0.1)
    assert grid.verdict.shape == (61, 60, 3) and grid.multipliers.shape == (61, 60, 3, 1, 2)
    a = 0.1 * np.asarray(T.curvature(e[:, None], rho=rho))[..., None]
    clear = (np.abs(a) > 1e-9) & (np.abs(a - 2 * (1 + momentum)) > 1e-9)
    assert (grid.attractor == (a > 0) & (a < 2 * (1 + momentum)))[clear].all()
    assert str(grid).startswith("10,980 settings: ") and "lr=0.1, momentum=0 to 0.9" in str(grid)
    flow = T.theorem1([[2.0, -1.0], [2.0, -0.5]], rho=1.5)
    assert flow.verdict.tolist() == ["attractor", "unstable"] and flow.window[0].tolist() == [1.0, 2.0]
    assert flow.verdicts.tolist() == [["attractor", "attractor"], ["attractor", "unstable"]]
