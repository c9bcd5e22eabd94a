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
wide minima    ``wide_minima_drift`` ``wide_minima_remainder`` ``ravine_multiplier`` ``ravine_two_cycle``
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

from .bouncing import (
    bouncing_descent_bound,
    bouncing_gradient,
    bouncing_hessian,
    bouncing_objective,
    bouncing_stationary,
    escape_curvature_bound,
    overshoot_bound,
    step_determinant,
)
from .coefficients import curvature, curvature_shift, diffusion_coefficient, noise_deficit, noise_factor
from .corollary import (
    corollary1,
    corollary1_bounds,
    corollary1_exact,
    corollary1_expansion,
    corollary1_remainder,
    corollary1_remainder_leading,
    corollary1_sign,
    log_corollary1_exact,
)
from .differences import (
    em_difference,
    momentum_em_crn_covariance,
    momentum_em_difference,
    momentum_sde_difference,
)
from .diffusion import (
    exact_step,
    log_sde_variance,
    log_theorem2,
    sde_mean,
    sde_msd,
    sde_variance,
    stationary_variance,
    theorem2,
)
from .discrete import (
    em_bias,
    em_bias_leading,
    em_mean,
    em_msd,
    em_stationary_variance,
    em_variance,
    log_em_variance,
    ou_embedding,
)
from .escape import (
    crossing_time,
    exceedance_probability,
    log_mean_exit_time,
    log_survival_rate,
    mean_exit_time,
    mean_exit_time_asymptotic,
    survival_rate,
)
from .estimation import (
    antithetic_gain,
    msd_interval,
    msd_relative_sd,
    paths_for_msd,
    satterthwaite_dof,
    squared_displacement_variance,
)
from .heavy_ball import (
    Moments,
    heavy_ball_moments,
    heavy_ball_stationary,
    log_heavy_ball_variance,
    log_momentum_em_variance,
    momentum_em_moments,
    momentum_em_stationary,
)
from .modes import (
    covariance_matrix,
    theorem2_covariance,
    theorem2_total,
    total_variance,
)
from .momentum import (
    log_theorem3,
    log_theorem3_variance,
    theorem3,
    theorem3_validity,
    theorem3_variance,
)
from .momentum_sde import (
    log_momentum_sde_variance,
    momentum_sde_moments,
    momentum_sde_msd,
    momentum_sde_stationary,
    overdamped,
)
from .monitored import (
    em_exit_time,
    em_exit_time_estimate,
)
from .normalized import (
    capture_steps,
    capture_time,
    captured_band,
    log_normalized_exit_time,
    normalized_exit_time,
    normalized_kramers_time,
    normalized_stationary_variance,
)
from .pairing import (
    control_variate,
    crn_covariance,
    em_crn_covariance,
    paired_difference_variance,
    paths_to_resolve,
)
from .quadratic_sam import (
    BounceConstants,
    bounce_constants,
    normalized_sam_step,
    two_cycle_amplitude,
    two_cycle_capture,
    two_cycle_curvatures,
    two_cycle_loss,
    two_cycle_multipliers,
)
from .special import (
    chc,
    delta_chc,
    delta_phi1,
    delta_phi1_excess,
    geometric_sum,
    log_phi1,
    phi1,
    phi2,
    psi,
    scaled_delta_chc,
    scaled_delta_phi1,
)
from .stability import (
    Stability,
    multipliers,
    rho_window,
    theorem1,
    theorem1_hessian,
)
from .toy_network import (
    toy_network_exponent,
    toy_network_sgd_window,
    toy_network_threshold,
    toy_network_trapped_loss,
)
from .wide_minima import (
    ravine_multiplier,
    ravine_two_cycle,
    wide_minima_drift,
    wide_minima_remainder,
)

__all__ = [
    "BounceConstants",
    "Moments",
    "Stability",
    "antithetic_gain",
    "bounce_constants",
    "bouncing_descent_bound",
    "bouncing_gradient",
    "bouncing_hessian",
    "bouncing_objective",
    "bouncing_stationary",
    "capture_steps",
    "capture_time",
    "captured_band",
    "chc",
    "control_variate",
    "corollary1",
    "corollary1_bounds",
    "corollary1_exact",
    "corollary1_expansion",
    "corollary1_remainder",
    "corollary1_remainder_leading",
    "corollary1_sign",
    "covariance_matrix",
    "crn_covariance",
    "crossing_time",
    "curvature",
    "curvature_shift",
    "delta_chc",
    "delta_phi1",
    "delta_phi1_excess",
    "diffusion_coefficient",
    "em_bias",
    "em_bias_leading",
    "em_crn_covariance",
    "em_difference",
    "em_exit_time",
    "em_exit_time_estimate",
    "em_mean",
    "em_msd",
    "em_stationary_variance",
    "em_variance",
    "escape_curvature_bound",
    "exact_step",
    "exceedance_probability",
    "geometric_sum",
    "heavy_ball_moments",
    "heavy_ball_stationary",
    "log_corollary1_exact",
    "log_em_variance",
    "log_heavy_ball_variance",
    "log_mean_exit_time",
    "log_momentum_em_variance",
    "log_momentum_sde_variance",
    "log_normalized_exit_time",
    "log_phi1",
    "log_sde_variance",
    "log_survival_rate",
    "log_theorem2",
    "log_theorem3",
    "log_theorem3_variance",
    "mean_exit_time",
    "mean_exit_time_asymptotic",
    "momentum_em_crn_covariance",
    "momentum_em_difference",
    "momentum_em_moments",
    "momentum_em_stationary",
    "momentum_sde_difference",
    "momentum_sde_moments",
    "momentum_sde_msd",
    "momentum_sde_stationary",
    "msd_interval",
    "msd_relative_sd",
    "multipliers",
    "noise_deficit",
    "noise_factor",
    "normalized_exit_time",
    "normalized_kramers_time",
    "normalized_sam_step",
    "normalized_stationary_variance",
    "ou_embedding",
    "overdamped",
    "overshoot_bound",
    "paired_difference_variance",
    "paths_for_msd",
    "paths_to_resolve",
    "phi1",
    "phi2",
    "psi",
    "ravine_multiplier",
    "ravine_two_cycle",
    "rho_window",
    "satterthwaite_dof",
    "scaled_delta_chc",
    "scaled_delta_phi1",
    "sde_mean",
    "sde_msd",
    "sde_variance",
    "squared_displacement_variance",
    "stationary_variance",
    "step_determinant",
    "survival_rate",
    "theorem1",
    "theorem1_hessian",
    "theorem2",
    "theorem2_covariance",
    "theorem2_total",
    "theorem3",
    "theorem3_validity",
    "theorem3_variance",
    "total_variance",
    "toy_network_exponent",
    "toy_network_sgd_window",
    "toy_network_threshold",
    "toy_network_trapped_loss",
    "two_cycle_amplitude",
    "two_cycle_capture",
    "two_cycle_curvatures",
    "two_cycle_loss",
    "two_cycle_multipliers",
    "wide_minima_drift",
    "wide_minima_remainder",
]


def __dir__() -> list[str]:
    return __all__
