"""Rules of the literature: the files behind `sf.rules`.

Read `adaptive` (first-order rules), `wrappers` (clipping and weight decay around any rule), `sharpness` (the SAM family, on
gradient descent or on any rule) in this order; `base` and `model.change` put one rule on another, and `rules` is the face.
"""
