"""From the arguments of a call to a run.

Read arguments (checked), prepare (a model and its arguments become a job), job (cut into shards), schedule (the shards are
run), merge (their parts become sums), run (the result, and how it is completed), simulate and gaussian_chain (the calls);
progress and dataset stand beside. Nothing is handed on here: a module has the name of the function simulate.
"""
