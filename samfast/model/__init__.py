"""What a user composes: a loss, a rule, noise or samples, and an observer.

Read parameters (numbers with names), loss and losses, critical_points (below the loss: it takes anything with a gradient and
a Hessian), rule and rules, noise, sampling, paired (rules made of rules), observer and observe. Classes and what they need
stand in the singular file, what samfast offers in the plural one.
"""
