r"""Closed forms of SAM and heavy-ball diffusion: each published statement, and the exact result that it approximates.

Unless its docstring says otherwise, a function is for one eigen-direction of the Hessian, with eigenvalue :math:`\lambda`.
One update advances time by ``lr``.  The curvature :math:`\kappa` and the diffusion D come from ``curvature`` and
``diffusion_coefficient``.  Arguments broadcast and results are float64; a value outside its domain raises ValueError.

=============  ===============================================================================================
topic          contents
=============  ===============================================================================================
coefficients   ``curvature`` ``curvature_shift`` ``noise_factor`` ``noise_deficit`` ``diffusion_coefficient``
stability      ``theorem1`` ``theorem1_hessian`` ``rho_window`` ``multipliers`` ``Stability``
diffusion      ``theorem2`` ``log_theorem2`` ``sde_variance`` ``log_sde_variance`` ``sde_mean`` ``sde_msd``
               ``stationary_variance`` ``exact_step``
directions     ``theorem2_total`` ``theorem2_covariance`` ``total_variance`` ``covariance_matrix``
algorithm      ``em_variance`` ``log_em_variance`` ``em_mean`` ``em_msd`` ``em_stationary_variance``
               ``em_bias`` ``em_bias_leading`` ``ou_embedding``
SGD or SAM     ``corollary1`` ``corollary1_exact`` ``log_corollary1_exact`` ``corollary1_sign``
               ``corollary1_bounds`` ``corollary1_expansion`` ``corollary1_remainder``
               ``corollary1_remainder_leading``
momentum       ``theorem3`` ``theorem3_variance`` ``theorem3_validity``; exact: ``momentum_sde_moments``
               ``momentum_sde_msd`` ``momentum_sde_stationary`` ``momentum_em_moments``
               ``momentum_em_stationary`` ``heavy_ball_moments`` ``heavy_ball_stationary`` ``overdamped``
               ``Moments``; logarithms: ``log_theorem3`` ``log_theorem3_variance``
               ``log_momentum_sde_variance`` ``log_momentum_em_variance`` ``log_heavy_ball_variance``
escape         ``mean_exit_time`` ``log_mean_exit_time`` ``mean_exit_time_asymptotic`` ``survival_rate``
               ``log_survival_rate`` ``crossing_time`` ``exceedance_probability``; monitored chain:
               ``em_exit_time`` ``em_exit_time_estimate``
normalised     ``capture_steps`` ``capture_time`` ``captured_band`` ``normalized_exit_time``
               ``log_normalized_exit_time`` ``normalized_kramers_time`` ``normalized_stationary_variance``
two-cycle      ``normalized_sam_step`` ``two_cycle_amplitude`` ``two_cycle_loss`` ``two_cycle_curvatures``
               ``two_cycle_multipliers`` ``two_cycle_capture`` ``bounce_constants`` ``BounceConstants``
bouncing       ``bouncing_objective`` ``bouncing_gradient`` ``bouncing_hessian`` ``bouncing_descent_bound``
               ``bouncing_stationary`` ``escape_curvature_bound`` ``overshoot_bound`` ``step_determinant``
               ``bartlett_theorem3_bound`` ``bartlett_theorem3_terms`` ``UpdateTerms`` ``worst_loss``
wide minima    ``wide_minima_drift`` ``wide_minima_remainder`` ``wide_minima_constants``
               ``ravine_multiplier`` ``ravine_two_cycle``
toy network    ``toy_network_exponent`` ``toy_network_threshold`` ``toy_network_trapped_loss``
               ``toy_network_sgd_window``
estimation     ``msd_interval`` ``msd_relative_sd`` ``paths_for_msd`` ``satterthwaite_dof``
               ``squared_displacement_variance`` ``antithetic_gain``
common noise   ``crn_covariance`` ``em_crn_covariance`` ``momentum_em_crn_covariance`` ``em_difference``
               ``momentum_em_difference`` ``momentum_sde_difference`` ``paired_difference_variance``
               ``paths_to_resolve`` ``control_variate``
special        ``phi1`` ``phi2`` ``psi`` ``log_phi1`` ``delta_phi1`` ``delta_phi1_excess``
               ``scaled_delta_phi1`` ``chc`` ``delta_chc`` ``scaled_delta_chc`` ``geometric_sum``
=============  ===============================================================================================
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {  # module: its public names, loaded when they are used, since some of them need SciPy
    "bouncing": (
        "bouncing_descent_bound bouncing_gradient bouncing_hessian bouncing_objective bouncing_stationary "
        "escape_curvature_bound overshoot_bound step_determinant"
    ),
    "bouncing_rate": "UpdateTerms bartlett_theorem3_bound bartlett_theorem3_terms worst_loss",
    "coefficients": "curvature curvature_shift diffusion_coefficient noise_deficit noise_factor",
    "corollary": (
        "corollary1 corollary1_bounds corollary1_exact corollary1_expansion corollary1_remainder "
        "corollary1_remainder_leading corollary1_sign log_corollary1_exact"
    ),
    "differences": "em_difference momentum_em_crn_covariance momentum_em_difference momentum_sde_difference",
    "diffusion": "exact_step log_sde_variance log_theorem2 sde_mean sde_msd sde_variance stationary_variance theorem2",
    "discrete": ("em_bias em_bias_leading em_mean em_msd em_stationary_variance em_variance log_em_variance ou_embedding"),
    "escape": (
        "crossing_time exceedance_probability log_mean_exit_time log_survival_rate mean_exit_time "
        "mean_exit_time_asymptotic survival_rate"
    ),
    "estimation": (
        "antithetic_gain msd_interval msd_relative_sd paths_for_msd satterthwaite_dof squared_displacement_variance"
    ),
    "heavy_ball": (
        "Moments heavy_ball_moments heavy_ball_stationary log_heavy_ball_variance log_momentum_em_variance "
        "momentum_em_moments momentum_em_stationary"
    ),
    "modes": "covariance_matrix theorem2_covariance theorem2_total total_variance",
    "momentum": "log_theorem3 log_theorem3_variance theorem3 theorem3_validity theorem3_variance",
    "momentum_sde": ("log_momentum_sde_variance momentum_sde_moments momentum_sde_msd momentum_sde_stationary overdamped"),
    "monitored": "em_exit_time em_exit_time_estimate",
    "normalized": (
        "capture_steps capture_time captured_band log_normalized_exit_time normalized_exit_time normalized_kramers_time "
        "normalized_stationary_variance"
    ),
    "pairing": "control_variate crn_covariance em_crn_covariance paired_difference_variance paths_to_resolve",
    "quadratic_sam": (
        "BounceConstants bounce_constants normalized_sam_step two_cycle_amplitude two_cycle_capture two_cycle_curvatures "
        "two_cycle_loss two_cycle_multipliers"
    ),
    "special": (
        "chc delta_chc delta_phi1 delta_phi1_excess geometric_sum log_phi1 phi1 phi2 psi scaled_delta_chc scaled_delta_phi1"
    ),
    "stability": "Stability multipliers rho_window theorem1 theorem1_hessian",
    "toy_network": "toy_network_exponent toy_network_sgd_window toy_network_threshold toy_network_trapped_loss",
    "wide_minima": "ravine_multiplier ravine_two_cycle wide_minima_constants wide_minima_drift wide_minima_remainder",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'samfast.theory' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
