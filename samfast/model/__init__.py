"""The parts of which a user composes a simulation: a loss, a rule, noise or samples, and an observer.

Read the modules in this order. `parameters` has the named numbers of losses and rules, `loss` and `losses` the functions to
minimise, `critical_points` the search for their critical points, `rule` and `rules` the update rules, `schedule` parameters
that change with the update, `change` how a rule goes on another, `catalogue` the rules of the literature. `noise`,
`sampling` and `paired` make rules out of rules. `observer` and `observe` have the numbers that a run records.

A class stands in the module with the singular name. The instances of it that samfast offers stand in the module with the
plural name, observers in `observe`.
"""
