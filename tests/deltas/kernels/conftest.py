"""The kernels of every instruction set that runs here."""

import pytest

from deltas.kernels import Kernels
from deltas.kernels.build import BUILT
from deltas.kernels.library import DTYPES
from deltas.kernels.loading import usable

VARIANTS = [
    (name, dtype) for name in usable() if (BUILT / f"{name}.so").is_file() for dtype in DTYPES
]


@pytest.fixture(params=VARIANTS, ids=lambda pair: f"{pair[0]}-{DTYPES[pair[1]]}", scope="module")
def kernels(request: pytest.FixtureRequest) -> Kernels:
    name, dtype = request.param
    return Kernels(BUILT / f"{name}.so", dtype)
