"""samfast cache: show its folders; list, prune, clear and warm the compiled programs on disk."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from .msd import CHOICES, STUDY
from .options import count


def cache_options(p: argparse.ArgumentParser) -> None:
    """The options of samfast cache."""
    p.set_defaults(run=_cache_layers)
    actions = p.add_subparsers(metavar="action")
    actions.add_parser("list", help="every compiled program").set_defaults(run=_cache_list)
    prune = actions.add_parser("prune", help="remove what was not used lately")
    prune.add_argument("--max-bytes", type=count, default=500_000_000, metavar="N", help="largest size (500000000)")
    prune.add_argument("--max-age-days", type=float, default=90.0, metavar="X", help="longest time without use (90)")
    prune.set_defaults(run=_cache_prune)
    actions.add_parser("clear", help="remove everything").set_defaults(run=_cache_clear)
    actions.add_parser("warm", help="compile what samfast msd needs, now").set_defaults(run=_cache_warm)


def _cache_layers(args: argparse.Namespace) -> None:
    from .. import cache

    for layer in cache.layers():
        print(layer)


def _cache_list(args: argparse.Namespace) -> None:
    from .. import cache

    for entry in cache.entries():
        print(entry)
    _cache_layers(args)


def _cache_prune(args: argparse.Namespace) -> None:
    from .. import cache

    _removed(cache.prune(args.max_bytes, args.max_age_days))


def _cache_clear(args: argparse.Namespace) -> None:
    from .. import cache

    _removed(cache.clear())


def _removed(entries: Sequence[Any]) -> None:
    from .. import cache

    left = len(cache.entries())
    print(f"removed {len(entries)} programs, {sum(e.bytes for e in entries) / 1e6:.1f} MB; {left} left")


def _cache_warm(args: argparse.Namespace) -> None:
    from ..study.displacement import msd

    small: dict[str, Any] = {"paths": 64, "times": [1e-3], "lr": 1e-3}
    for method in CHOICES["method"][0]:
        grids: dict[str, dict[str, Any]] = {
            "grid": STUDY,
            "one setting": {"rho": 0.5},
            "one setting, momentum": {"momentum": 0.9},
        }
        for what, grid in grids.items():
            study = msd(**{**grid, **small, "method": method})
            print(f"{method + ', ' + what:<34} {study.dataset.attrs['wall_seconds']:.1f} s")
