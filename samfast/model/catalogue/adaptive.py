"""First-order rules with memory: Nesterov's momentum, Adam and its kin, and rules that follow signs.

g is the gradient at w, and t = 1, 2, ... the number of the update. Operations on vectors are by coordinate.
"""

from __future__ import annotations

from typing import Any

from ... import tracing as T
from ..parameters import Sweep, parameter
from ..rule import Rule


def _sign(x: Any) -> Any:
    return T.where(x > 0, 1.0, T.where(x < 0, -1.0, 0.0))


def _rates(**given: Sweep) -> None:
    """Decay rates, from 0 to below 1."""
    for name, value in given.items():
        parameter(name, value, low=0.0, below=1.0, example=0.9)


def _sizes(**given: Sweep) -> None:
    for name, value in given.items():
        parameter(name, value, low=0.0, example=1e-8)


def _made(name: str, step: Any, state: dict[str, Any], *, lr: Sweep, **params: Sweep) -> Rule:
    """The rule of a step that asks for one gradient."""
    return Rule(
        name, lambda w, s, grad, p, z: step(w, s, grad, p), {"lr": lr, **params}, state=state, bounded=frozenset({"lr"})
    )


def nesterov(*, lr: Sweep, momentum: Sweep = 0.9) -> Rule:
    """Nesterov's momentum, m' = momentum*m + g and w' = w - lr*(g + momentum*m'), from m = 0.

    Sutskever et al. (2013), eq. 3 and 4, in the variables of Bengio et al. (2013), eq. 7, as torch.optim.SGD(nesterov=True).
    State: m.
    """
    _rates(momentum=momentum)

    def step(w: Any, s: Any, grad: Any, p: Any) -> Any:
        g = grad(w)
        m = p.momentum * s.m + g
        return w - p.lr * (g + p.momentum * m), {"m": m}

    return _made("nesterov", step, {"m": 0.0}, lr=lr, momentum=momentum)


def _adam(name: str, lr: Sweep, beta1: Sweep, beta2: Sweep, epsilon: Sweep, more: dict[str, Sweep], shrink: Any) -> Rule:
    _rates(beta1=beta1, beta2=beta2)
    _sizes(epsilon=epsilon)

    def step(w: Any, s: Any, grad: Any, p: Any) -> Any:
        g, t = grad(w), p.step_count + 1
        m = p.beta1 * s.m + (1 - p.beta1) * g
        v = p.beta2 * s.v + (1 - p.beta2) * (g * g)
        first, second = (1 - T.exp(t * T.log(b)) for b in (p.beta1, p.beta2))
        return shrink(w, p) - p.lr * ((m / first) / (T.sqrt(v / second) + p.epsilon)), {"m": m, "v": v}

    return _made(name, step, {"m": 0.0, "v": 0.0}, lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, **more)


def adam(*, lr: Sweep, beta1: Sweep = 0.9, beta2: Sweep = 0.999, epsilon: Sweep = 1e-8) -> Rule:
    """Adam: w' = w - lr*mh/(sqrt(vh) + epsilon), from m = v = 0, with

    m' = beta1*m + (1 - beta1)*g, v' = beta2*v + (1 - beta2)*g^2, mh = m'/(1 - beta1^t), vh = v'/(1 - beta2^t).

    Kingma and Ba (2015), Algorithm 1. State: m, v.
    """
    return _adam("adam", lr, beta1, beta2, epsilon, {}, lambda w, p: w)


def adamw(*, lr: Sweep, beta1: Sweep = 0.9, beta2: Sweep = 0.999, epsilon: Sweep = 1e-8, weight_decay: Sweep = 0.01) -> Rule:
    """Adam with decoupled weight decay, w' = (1 - lr*weight_decay)*w - lr*mh/(sqrt(vh) + epsilon), mh and vh as in `adam`.

    Loshchilov and Hutter (2019), Algorithm 2, whose schedule multiplier is lr here, as in torch.optim.AdamW. State: m, v.
    """
    _sizes(weight_decay=weight_decay)
    more = {"weight_decay": weight_decay}
    return _adam("adamw", lr, beta1, beta2, epsilon, more, lambda w, p: w - p.lr * p.weight_decay * w)


def rmsprop(*, lr: Sweep, decay: Sweep = 0.99, epsilon: Sweep = 1e-8) -> Rule:
    """RMSprop, v' = decay*v + (1 - decay)*g^2 and w' = w - lr*g/(sqrt(v') + epsilon), from v = 0.

    Tieleman and Hinton, Lecture 6.5 (2012), with epsilon where torch.optim.RMSprop has it. State: v.
    """
    _rates(decay=decay)
    _sizes(epsilon=epsilon)

    def step(w: Any, s: Any, grad: Any, p: Any) -> Any:
        g = grad(w)
        v = p.decay * s.v + (1 - p.decay) * (g * g)
        return w - p.lr * (g / (T.sqrt(v) + p.epsilon)), {"v": v}

    return _made("rmsprop", step, {"v": 0.0}, lr=lr, decay=decay, epsilon=epsilon)


def adagrad(*, lr: Sweep, epsilon: Sweep = 1e-10) -> Rule:
    """Adagrad, v' = v + g^2 and w' = w - lr*g/(sqrt(v') + epsilon), from v = 0.

    Duchi, Hazan and Singer (2011), the diagonal form of Fig. 1, with epsilon where torch.optim.Adagrad has it. State: v.
    """
    _sizes(epsilon=epsilon)

    def step(w: Any, s: Any, grad: Any, p: Any) -> Any:
        g = grad(w)
        v = s.v + g * g
        return w - p.lr * (g / (T.sqrt(v) + p.epsilon)), {"v": v}

    return _made("adagrad", step, {"v": 0.0}, lr=lr, epsilon=epsilon)


def signum(*, lr: Sweep, momentum: Sweep = 0.9) -> Rule:
    """Sign descent with momentum, m' = momentum*m + (1 - momentum)*g and w' = w - lr*sign(m'), from m = 0; sign(0) = 0.

    With momentum=0 it is sign descent. Bernstein et al. (2018), Algorithms 1 and 2. State: m.
    """
    _rates(momentum=momentum)

    def step(w: Any, s: Any, grad: Any, p: Any) -> Any:
        m = p.momentum * s.m + (1 - p.momentum) * grad(w)
        return w - p.lr * _sign(m), {"m": m}

    return _made("signum", step, {"m": 0.0}, lr=lr, momentum=momentum)


def lion(*, lr: Sweep, beta1: Sweep = 0.9, beta2: Sweep = 0.99, weight_decay: Sweep = 0.0) -> Rule:
    """Lion, w' = w - lr*(sign(beta1*m + (1 - beta1)*g) + weight_decay*w) and m' = beta2*m + (1 - beta2)*g, from m = 0.

    Chen et al. (2023), Algorithm 2. State: m.
    """
    _rates(beta1=beta1, beta2=beta2)
    _sizes(weight_decay=weight_decay)

    def step(w: Any, s: Any, grad: Any, p: Any) -> Any:
        g = grad(w)
        c = p.beta1 * s.m + (1 - p.beta1) * g
        return w - p.lr * (_sign(c) + p.weight_decay * w), {"m": p.beta2 * s.m + (1 - p.beta2) * g}

    return _made("lion", step, {"m": 0.0}, lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay)
