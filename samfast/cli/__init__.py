"""The command samfast: main with its verbs, each in a file of its own.

options holds what the verbs share in words, session what they share while they run. Nothing here loads NumPy before it is
needed: samfast --help is quick.
"""
