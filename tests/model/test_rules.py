"""Every rule and every noise against a loop in NumPy that is driven by the same numbers, in float64.

The numbers come from a rule whose step is w' = z. Most programs run as plain Python, which gives the bits of compiled
code (test_bits).
"""

from functools import cache

import numpy as np
import pytest

import samfast as sf
from samfast.backends import cpu
from samfast.simulation.prepare import prepared_job

SEED, PATHS, STEPS = 11, 5, 7
LR, RHO, SIGMA, GAMMA, TAU, EPSILON, AHEAD = 0.004, 0.02, 3.0, 0.8, 0.35, 0.05, 0.01


def run(loss, rule, start, device="plain"):
    """(states (step, path, dim), the last velocity or momentum (path, dim))."""
    start = np.asarray(start, float)
    job = prepared_job(loss, rule, start, paths=PATHS, seed=SEED, dtype="float64", device=device, values=True)
    [shard] = job.shards(0, np.arange(STEPS + 1), None)
    part = cpu.run_shard(shard)
    v = part.state[0, list(job.program.rows["v0"])].T if "v0" in job.program.rows else None
    return np.moveaxis(part.values[0], 1, 2), v


@cache
def numbers(n, kind):
    """The n numbers of every step and path, (step, path, n)."""
    if n == 0:
        return np.zeros((STEPS, PATHS, 0))
    rule = sf.Rule("noise", step=lambda w, v, grad, p, z: (z[0], v), draws=1, kind=kind)
    return run(sf.losses.quadratic(np.ones(n)), rule, np.zeros(n))[0][1:]


def loop(start, step, z):
    """States of step(w, v, z, k) -> (w', v') in NumPy, with the last v."""
    w = np.array(np.broadcast_to(start, (PATHS, np.shape(start)[-1])), float)
    v, states = np.zeros_like(w), [w]
    for k in range(STEPS):
        w, v = step(w, v, z[k], k)
        states.append(w)
    return np.array(states), v


def agree(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


# losses, with derivatives written by hand ----------------------------------------------------------------------------
class Quadratic:
    def __init__(self, *eigenvalue):
        self.e, self.loss = np.array(eigenvalue), sf.losses.quadratic(list(eigenvalue))
        self.start = np.linspace(1, -0.7, len(eigenvalue))

    def grad(self, w):
        return self.e * w

    def hess(self, w):
        return np.broadcast_to(np.diag(self.e), (*w.shape, len(self.e)))


class Saddle(Quadratic):
    def __init__(self):
        super().__init__(2.0, -2.0)
        self.loss = sf.losses.saddle()


class Beale:
    loss, start = sf.losses.beale(), np.array([0.4, 0.6])

    def parts(self, w):
        x, y = w[..., 0], w[..., 1]
        return x, [
            (y**i, i * y ** (i - 1), i * (i - 1) * y ** max(i - 2, 0), c - x + x * y**i)
            for i, c in ((1, 1.5), (2, 2.25), (3, 2.625))
        ]

    def grad(self, w):
        x, fs = self.parts(w)
        return np.stack([sum(2 * f * (q - 1) for q, _, _, f in fs), sum(2 * x * f * d for _, d, _, f in fs)], -1)

    def hess(self, w):
        x, fs = self.parts(w)
        xx = sum(2 * (q - 1) ** 2 for q, _, _, _ in fs)
        xy = sum(2 * d * (x * (q - 1) + f) for q, d, _, f in fs)
        yy = sum(2 * (x * d) ** 2 + 2 * x * f * dd for _, d, dd, f in fs)
        return np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)


PROBLEMS = {
    "quadratic1": Quadratic(-1.5),
    "quadratic3": Quadratic(1.5, -0.5, 3.0),
    "beale": Beale(),
    "saddle": Saddle(),
    "quadratic12": Quadratic(*np.linspace(-1, 3, 12)),
}


# the rules: (the library's, the direction in NumPy of the gradient's noises in order of the calls) -------------------
def length(g):
    return np.linalg.norm(g, axis=-1, keepdims=True)


def descend(problem, w, xi):
    return problem.grad(w) + xi[0]


def sam(scale):
    def direction(problem, w, xi):
        g = problem.grad(w) + xi[0]
        return problem.grad(w + scale(g) * g) + xi[1]

    return direction


def chain(problem, w, xi):
    u = sam(lambda g: RHO)(problem, w, xi)
    return u + RHO * np.einsum("pij,pj->pi", problem.hess(w), u)


def chain_normalized(problem, w, xi):
    u, g = sam(lambda g: RHO / length(g))(problem, w, xi), problem.grad(w) + xi[0]
    h = g / length(g)
    across = u - h * (h * u).sum(-1, keepdims=True)
    return u + RHO / length(g) * np.einsum("pij,pj->pi", problem.hess(w), across)


def extra(problem, w, xi):
    return problem.grad(w - AHEAD * (problem.grad(w) + xi[0])) + xi[1]


RULES = {
    "gd": (sf.gd, descend),
    "sam": (lambda **o: sf.sam(rho=RHO, **o), sam(lambda g: RHO)),
    "normalized": (lambda **o: sf.sam(rho=RHO, normalize=True, **o), sam(lambda g: RHO / length(g))),
    "raise": (lambda **o: sf.sam(rho=RHO, normalize=True, at_critical="raise", **o), sam(lambda g: RHO / length(g))),
    "epsilon": (lambda **o: sf.sam(rho=RHO, normalize=True, epsilon=EPSILON, **o), sam(lambda g: RHO / (length(g) + EPSILON))),
    "chain": (lambda **o: sf.sam(rho=RHO, drift="chain", **o), chain),
    "chain_normalized": (lambda **o: sf.sam(rho=RHO, normalize=True, drift="chain", **o), chain_normalized),
    "own": (lambda **o: sf.rule("extra", lambda w, grad, p: grad(w - p.ahead * grad(w)), ahead=AHEAD, **o), extra),
}
MOMENTA = {
    "": {},
    "heavy": {"momentum": GAMMA, "dampening": TAU},
    "late": {"momentum": GAMMA, "dampening": TAU, "dampen_first": False},
}
MINIBATCHES = ("none", "descent", "same", "independent", "unit")


def case(problem, name, momentum="", minibatch="none", kind="normal", sigma=SIGMA, device="plain", **options):
    """Both sides of one comparison."""
    make, direction = RULES[name]
    rule = make(lr=LR, **MOMENTA[momentum])
    dim, calls = problem.loss.dim, 1 if name == "gd" else 2
    if minibatch != "none":
        rule = sf.noisy(
            rule, minibatch=minibatch, kind=kind, **(options or {"sigma": sf.vector(sigma) if np.ndim(sigma) else sigma})
        )
    draws = 0 if minibatch == "none" else calls if minibatch == "independent" else 1

    def step(w, m, z, k):
        xi = [sigma * z[:, i * dim : (i + 1) * dim] for i in range(draws)]
        none = [np.zeros_like(w)]
        at = {"none": 2 * none, "unit": 2 * none, "descent": (calls - 1) * none + xi, "same": 2 * xi, "independent": xi}
        g = direction(problem, w, at[minibatch])
        g = g + xi[0] if minibatch == "unit" else g
        if not momentum:
            return w - LR * g, m
        m = GAMMA * m + (1.0 if momentum == "late" and k == 0 else 1 - TAU) * g
        return w - LR * m, m

    got, v = run(problem.loss, rule, problem.start, device)
    want, m = loop(problem.start, step, numbers(dim * draws, kind))
    agree(got, want)
    if momentum:
        agree(v, m)


@pytest.mark.parametrize(
    ("momentum", "minibatch"),
    [*(("", m) for m in MINIBATCHES), ("heavy", "none"), ("heavy", "independent"), ("late", "unit"), ("late", "same")],
)
@pytest.mark.parametrize("name", RULES)
def test_rule_with_noise_and_momentum(name, momentum, minibatch):
    case(PROBLEMS["beale"], name, momentum, minibatch)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("problem", ["quadratic1", "quadratic3", "saddle", "quadratic12"])
def test_rule_on_other_losses(problem, name):
    case(PROBLEMS[problem], name, "heavy", "same")


@pytest.mark.parametrize("minibatch", MINIBATCHES[1:])
@pytest.mark.parametrize("problem", ["quadratic1", "beale", "quadratic12"])
def test_two_point_noise(problem, minibatch):
    case(PROBLEMS[problem], "sam", "", minibatch, "sign")


@pytest.mark.parametrize("problem", ["beale", "quadratic12"])
def test_noise_of_its_own_size_for_every_coordinate(problem):
    sigma = np.linspace(0.1, 0.5, PROBLEMS[problem].loss.dim)
    case(PROBLEMS[problem], "normalized", "", "independent", sigma=sigma)


@pytest.mark.parametrize("problem", ["quadratic1", "quadratic3", "quadratic12"])
@pytest.mark.parametrize("minibatch", ["descent", "unit"])
def test_batch_size_is_the_absolute_hessian(problem, minibatch):
    """The variance |eigenvalue|/batch_size of Kim et al., eq. 23."""
    this = PROBLEMS[problem]
    case(this, "sam", "", minibatch, sigma=np.sqrt(np.abs(this.e) / 16), batch_size=16)


@pytest.mark.parametrize(
    ("problem", "name", "momentum", "minibatch"),
    [
        ("quadratic1", "chain_normalized", "late", "independent"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("beale", "chain_normalized", "late", "independent"), ("quadratic12", "normalized", "heavy", "same")]
        ),
    ],
)
def test_compiled(problem, name, momentum, minibatch):
    case(PROBLEMS[problem], name, momentum, minibatch, device="cpu")


# diffusion -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["normal", "sign"])
@pytest.mark.parametrize("dt", [None, 0.003])
@pytest.mark.parametrize(
    ("problem", "name"), [("quadratic3", "gd"), ("beale", "sam"), ("beale", "chain"), ("quadratic12", "normalized")]
)
def test_diffusion_without_momentum(problem, name, dt, kind):
    this, (make, direction) = PROBLEMS[problem], RULES[name]
    h, still = dt or LR, [0.0, 0.0]

    def step(w, v, z, k):
        return w - h * direction(this, w, still) - np.sqrt(LR * h) * SIGMA * z, v

    got, _ = run(this.loss, sf.diffusion(make(lr=LR), sigma=SIGMA, dt=dt, kind=kind), this.start)
    agree(got, loop(this.start, step, numbers(this.loss.dim, kind))[0])


@pytest.mark.parametrize("scheme", ["explicit", "symplectic"])
@pytest.mark.parametrize("dt", [None, 0.003])
@pytest.mark.parametrize(("problem", "name"), [("quadratic3", "gd"), ("beale", "chain"), ("quadratic12", "sam")])
def test_diffusion_with_momentum(problem, name, dt, scheme):
    """dw = v dt, M dv = -phi M v dt - direction dt + sqrt(2D) dW, as written in Kim et al., Theorem 3."""
    this, (make, direction) = PROBLEMS[problem], RULES[name]
    h, mass, phi = dt or LR, LR / (1 - TAU), (1 - GAMMA) / LR
    noise = np.sqrt(LR) * SIGMA  # sqrt(2D); dW = -z sqrt(dt)

    def step(w, v, z, k):
        force = -phi * mass * v * h - direction(this, w, [0.0, 0.0]) * h - noise * np.sqrt(h) * z
        u = v + force / mass
        return w + h * (u if scheme == "symplectic" else v), u

    rule = sf.diffusion(make(lr=LR, momentum=GAMMA, dampening=TAU), sigma=SIGMA, dt=dt, scheme=scheme)
    got, v = run(this.loss, rule, this.start)
    want, u = loop(this.start, step, numbers(this.loss.dim, "normal"))
    agree(got, want)
    agree(v, u)


@pytest.mark.parametrize("problem", ["quadratic3", "beale", "quadratic12"])
def test_symplectic_steps_of_size_lr_are_the_heavy_ball(problem):
    """With unit noise; the velocity is minus the momentum."""
    this, rule = PROBLEMS[problem], sf.sam(lr=LR, rho=RHO, momentum=GAMMA, dampening=TAU)
    ball, m = run(this.loss, sf.noisy(rule, sigma=SIGMA, minibatch="unit"), this.start)
    path, v = run(this.loss, sf.diffusion(rule, sigma=SIGMA), this.start)
    agree(path, ball)
    agree(v, -m)


# critical points -----------------------------------------------------------------------------------------------------
STAYING = {
    "normalized": {"normalize": True},
    "epsilon": {"normalize": True, "epsilon": EPSILON},
    "chain_normalized": {"normalize": True, "drift": "chain"},
    "constant": {},
}


@pytest.mark.parametrize("options", STAYING.values(), ids=STAYING)
@pytest.mark.parametrize("problem", ["quadratic1", "saddle", "quadratic12"])
def test_a_zero_gradient_stays(problem, options):
    this = PROBLEMS[problem]
    zero = np.zeros(this.loss.dim)
    got, _ = run(this.loss, sf.sam(lr=LR, rho=RHO, momentum=GAMMA, **options), zero)
    np.testing.assert_array_equal(got, 0)


@pytest.mark.parametrize("problem", ["quadratic1", "saddle", "quadratic12"])
@pytest.mark.parametrize("size", [1e-100, 1e-140])
def test_a_tiny_gradient_is_normalised(problem, size):
    """One step from so near that the gradient's square is next to the end of float64: |w^p - w| is still rho."""
    this = PROBLEMS[problem]
    got, _ = run(this.loss, sf.sam(lr=LR, rho=RHO, normalize=True), size * this.start)
    g = this.grad(this.start)
    agree(got[1], np.broadcast_to(-LR * this.grad(RHO * g / np.linalg.norm(g)), got[1].shape))


def test_noise_leaves_a_zero_gradient():
    """w^p = w in the first step, which is then the noise alone."""
    this = PROBLEMS["saddle"]
    got, _ = run(this.loss, sf.noisy(sf.sam(lr=LR, rho=RHO, normalize=True), sigma=SIGMA), [0.0, 0.0])
    agree(got[1], -LR * SIGMA * numbers(2, "normal")[0])
    assert np.isfinite(got).all()


def test_a_zero_gradient_raises_where_asked():
    rule = sf.sam(lr=LR, rho=RHO, normalize=True, at_critical="raise")
    saddle, start = sf.losses.saddle(), np.ones((200, 2))
    sf.simulate(saddle, rule, start, record=[3])
    start[150] = 0
    with pytest.raises(sf.CriticalPointError, match=r"1 paths.*path 150"):
        sf.simulate(saddle, rule, start, record=[3])


# rules and losses of a user's own ------------------------------------------------------------------------------------
def test_a_rule_with_two_slots_and_the_step_count():
    """Adam, with noise on the gradient and bias correction by the step count."""

    def step(w, v, grad, p, z):
        m, s = v
        g = grad(w) + p.size * z[0]
        m, s = p.b1 * m + (1 - p.b1) * g, p.b2 * s + (1 - p.b2) * g * g
        t = p.step_count + 1
        scale = p.lr / (1 - sf.exp(t * np.log(0.9)))
        return w - scale * m / (sf.sqrt(s / (1 - sf.exp(t * np.log(0.99)))) + 1e-8), (m, s)

    rule = sf.Rule("adam", step, {"lr": LR, "size": SIGMA, "b1": 0.9, "b2": 0.99}, slots=2, draws=1)
    this, memory = PROBLEMS["beale"], {"s": 0.0}

    def numpy_step(w, m, z, k):
        g = this.grad(w) + SIGMA * z
        m, memory["s"] = 0.9 * m + 0.1 * g, 0.99 * memory["s"] + 0.01 * g * g
        return w - LR / (1 - 0.9 ** (k + 1)) * m / (np.sqrt(memory["s"] / (1 - 0.99 ** (k + 1))) + 1e-8), m

    agree(run(this.loss, rule, this.start)[0], loop(this.start, numpy_step, numbers(2, "normal"))[0])


@sf.loss(dim=2, samples=1, kind="sign")
def signed(w, p, y):
    return 0.5 * (w[0] * w[1] - y[0]) ** 2


@sf.loss(dim=2, samples=2, kind="bit")
def bits(w, p, y):
    return 0.5 * (w[0] * w[1] - y[0] + 2 * y[1]) ** 2


@sf.loss(dim=2, samples=1)
def smooth(w, p, y):
    return 0.5 * (w[0] * w[1] - y[0]) ** 2


TARGETS = {
    "signed": (signed, lambda y: y[:, 0]),
    "smooth": (smooth, lambda y: y[:, 0]),
    "bits": (bits, lambda y: (0.5 - 0.5 * y[:, 0]) - 2 * (0.5 - 0.5 * y[:, 1])),
}


@pytest.mark.parametrize("kind", [None, "normal", "sign"])
@pytest.mark.parametrize("name", TARGETS)
def test_random_samples_of_a_loss(name, kind):
    """The sample serves both gradients of a step and comes after the rule's numbers; the sign of a normal is a sign."""
    loss, target = TARGETS[name]
    rule = sf.sam(lr=LR, rho=RHO)
    own = "normal" if name == "smooth" else "sign"
    common = own if kind in (None, own) else "normal"
    rule = sf.noisy(rule, sigma=SIGMA, kind=kind) if kind else rule
    first = 2 if kind else 0

    def wanted(z, kind):
        return np.where(z < 0, -1.0, 1.0) if kind == "sign" else z

    def step(w, v, z, k):
        y = target(wanted(z[:, first:], own))

        def grad(w):
            return (w[:, 0] * w[:, 1] - y)[:, None] * w[:, ::-1]

        xi = SIGMA * wanted(z[:, :first], kind) if kind else 0
        return w - LR * (grad(w + RHO * grad(w)) + xi), v

    start = np.array([0.8, -0.5])
    want, _ = loop(start, step, numbers(first + loss.samples, common))
    agree(run(loss, rule, start)[0], want)


@pytest.mark.parametrize("minibatch", ["same", "independent"])
@pytest.mark.parametrize("momentum", ["heavy", "late"])
def test_random_samples_with_momentum(momentum, minibatch):
    """One sample for both gradients or one for each; the dampening of the first step is left out where that is asked for."""

    def step(w, m, z, k):
        y = np.where(z < 0, -1.0, 1.0)

        def grad(w, call):
            return (w[:, 0] * w[:, 1] - y[:, call if minibatch == "independent" else 0])[:, None] * w[:, ::-1]

        m = GAMMA * m + (1.0 if momentum == "late" and k == 0 else 1 - TAU) * grad(w + RHO * grad(w, 0), 1)
        return w - LR * m, m

    start, base = np.array([0.8, -0.5]), sf.sam(lr=LR, rho=RHO, **MOMENTA[momentum])
    mean = sf.loss(dim=2)(lambda w, p: 0.5 * (w[0] * w[1]) ** 2)
    got, v = run(mean, sf.sampled(base, signed, minibatch=minibatch), start)
    want, m = loop(start, step, numbers(2, "sign"))
    agree(got, want)
    agree(v, m)


def test_the_drift_of_the_theorems_on_random_samples():
    """The gradient of w -> l(w + rho*grad l(w)) with one sample y throughout, l = (w0 w1 - y)^2/2."""

    def step(w, v, z, k):
        y = np.where(z[:, :1] < 0, -1.0, 1.0)

        def grad(w):
            return (w[:, :1] * w[:, 1:] - y) * w[:, ::-1]

        a, b = w.T
        mixed = 2 * a * b - y[:, 0]
        hess = np.stack([np.stack([b * b, mixed], -1), np.stack([mixed, a * a], -1)], -2)
        u = grad(w + RHO * grad(w))
        return w - LR * (u + RHO * np.einsum("pij,pj->pi", hess, u)), v

    start = np.array([0.8, -0.5])
    got, _ = run(signed, sf.sam(lr=LR, rho=RHO, drift="chain"), start)
    agree(got, loop(start, step, numbers(1, "sign"))[0])


@pytest.mark.parametrize("dim", [2, 12])
def test_a_sign_by_itself_is_a_number(dim):
    """A rule may add a random sign as it is, or compare or divide it; only products take the bits."""

    def step(w, v, grad, p, z):
        return w + z[0] + sf.where(z[0] < 0, 0.25, z[0] / (3 + w * w)) - w * z[0], v

    rule = sf.Rule("walk", step, draws=1, kind="sign")
    start = np.linspace(0, 1, dim)
    want, _ = loop(start, lambda w, v, z, k: (w + z + np.where(z < 0, 0.25, z / (3 + w * w)) - w * z, v), numbers(dim, "sign"))
    got, _ = run(sf.losses.quadratic(np.ones(dim)), rule, start)
    agree(got, want)


# the comparison itself -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fault", [{"sigma": SIGMA * (1 + 1e-9)}, {"minibatch": "same"}, {"momentum": "late"}, {"kind": "sign"}, {"name": "epsilon"}]
)
def test_a_planted_fault_is_found(fault, monkeypatch):
    """The loop on one side, a slightly other rule on the other."""
    good = {"name": "normalized", "momentum": "heavy", "minibatch": "independent", "sigma": SIGMA, "kind": "normal"}
    problem, fast = PROBLEMS["beale"], run
    case(problem, **good)
    wrong = good | fault
    rule = sf.noisy(
        RULES[wrong["name"]][0](lr=LR, **MOMENTA[wrong["momentum"]]),
        minibatch=wrong["minibatch"],
        sigma=wrong["sigma"],
        kind=wrong["kind"],
    )
    monkeypatch.setitem(globals(), "run", lambda loss, r, *rest: fast(loss, rule if r.draws and r.slots else r, *rest))
    with pytest.raises(AssertionError, match="Not equal"):
        case(problem, **good)


# --- bounds of parameters, whichever way they are given -----------------------------------------------------------------
BOUNDED = sf.diffusion(sf.sam(lr=0.1, rho=0.1, momentum=0.5, dampening=0.5), sigma=0.1, dt=0.1)
BATCHED = sf.noisy(sf.gd(lr=0.1), batch_size=4)


@pytest.mark.parametrize(
    "name, good, bad",
    [
        ("lr", 1e-300, 0.0),
        ("rho", 0.0, -1e-300),
        ("momentum", 0.0, -1e-300),
        ("momentum", np.nextafter(1, 0), 1.0),
        ("dampening", 0.0, -1e-300),
        ("dampening", np.nextafter(1, 0), 1.0),
        ("sigma", 0.0, -1e-300),
        ("dt", 1e-300, 0.0),
        ("batch_size", 1e-300, 0.0),
    ],
)
@pytest.mark.parametrize("wrap", [float, lambda x: [0.5, x], lambda x: sf.per_path([0.5, x])], ids=["number", "sweep", "paths"])
def test_bounds_hold_through_replace(name, good, bad, wrap):
    """Both sides of every bound; the second rule of a pair has the same."""
    rule = BATCHED if name == "batch_size" else BOUNDED
    for made, key in ((rule, name), (sf.paired(rule, rule), f"{name}_second")):
        assert key in made.replace(**{key: wrap(good)}).params
        with pytest.raises(ValueError, match=rf"{key}=.*: give values (above|below|of at least)"):
            made.replace(**{key: wrap(bad)})


def test_bounds_go_with_the_meaning_of_a_parameter_not_with_its_name():
    """rho of a user's own rule may be negative, from the start and by replace; lr, which has the usual meaning, may not."""
    own = sf.rule("ascent", lambda w, grad, p: grad(w - p.rho * grad(w)), lr=0.1, rho=-0.5)
    assert own.replace(rho=-1.0).params["rho"] == -1.0
    pair = sf.paired(own, sf.sam(lr=0.1, rho=0.5))
    assert pair.replace(rho=-1.0).params["rho"] == -1.0
    for call in (lambda: pair.replace(rho_second=-1.0), lambda: sf.heavy_ball(own, momentum=0.5).replace(momentum=1.0)):
        with pytest.raises(ValueError, match=r"(rho_second|momentum)=.*: give values"):
            call()
    for rule in (own, pair):
        with pytest.raises(ValueError, match=r"lr=0: give values above 0"):
            rule.replace(lr=0)
