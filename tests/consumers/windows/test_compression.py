"""What is kept comes back, also what the version with zlib kept, and damage is named."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.windows.compression import DamagedError, compress, decompress


@given(st.binary(max_size=5000))
def test_what_is_kept_comes_back(data: bytes) -> None:
    assert decompress(compress(data)) == data
    assert decompress(zlib.compress(data, 1)) == data


@given(data=st.binary(min_size=20), cut=st.integers(1, 12))
def test_what_is_cut_off_is_damaged(data: bytes, cut: int) -> None:
    for kept in (compress(data), zlib.compress(data, 1)):
        with pytest.raises(DamagedError):
            decompress(kept[:-cut])
