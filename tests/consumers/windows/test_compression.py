"""What is kept comes back, and damage is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.windows.compression import DamagedError, compress, decompress


@given(st.binary(max_size=5000))
def test_what_is_kept_comes_back(data: bytes) -> None:
    assert decompress(compress(data)) == data


@given(data=st.binary(min_size=20), cut=st.integers(1, 12))
def test_what_is_cut_off_is_damaged(data: bytes, cut: int) -> None:
    with pytest.raises(DamagedError):
        decompress(compress(data)[:-cut])
