"""The bits of a few programs, held fast: where they change, saved runs must not be continued, and NUMERICS says so."""

import zlib

import numpy as np
import pytest
from programs import CASES, shard_of

import samfast as sf
from samfast.backends import cpu

# The library wrote these digests itself. They prove nothing about the numbers; they only notice that one has changed.
NUMERICS = 1
DIGESTS = {
    ("linear", "mixed"): "60a482a2",
    ("linear-sign", "mixed"): "d661f371",
    ("heavy", "mixed"): "b5539434",
    ("underdamped", "mixed"): "5cee6502",
    ("beale-noise", "mixed"): "ba085362",
    ("labels", "mixed"): "2241608c",
    ("functions", "mixed"): "9f8f5f8b",
    ("wide12", "mixed"): "8b4d3d18",
    ("state", "mixed"): "649dc164",
    ("linear", "float32"): "883eb038",
    ("linear", "float64"): "852a4f15",
    ("functions", "float64"): "ff0a375d",
}


@pytest.mark.parametrize("name, mode", DIGESTS)
def test_no_bit_changes_unless_numerics_is_raised(name, mode):
    part = cpu.run_shard(shard_of(CASES[name], paths=5, mode=mode, record=(0, 3, 5))[0])
    assert np.isfinite(part.state).all(), "the bits of a nan differ between processors"
    found = zlib.crc32(part.state.tobytes() + part.moments.tobytes())
    assert (sf.NUMERICS, f"{found:08x}") == (NUMERICS, DIGESTS[name, mode]), (
        "the bits of this program have changed: raise samfast.NUMERICS by one, and NUMERICS and the digests here with it"
    )
