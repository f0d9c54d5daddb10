import math
from dataclasses import replace

import pytest

from deltas.training.recipe import InvalidRecipe
from tests.deltas.training.lessons import recipe_of


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0.0),
        ("epochs", math.nan),
        ("epochs", math.inf),
        ("layers", 0),
        ("batch", 0),
        ("rate", -1.0),
        ("rate", math.inf),
        ("warmup", 1.5),
        ("tokens", 7),
        ("width", -1),
    ],
)
def test_a_number_out_of_its_bounds_is_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidRecipe, match=f"{name} must be .*; it is {value}"):
        replace(recipe_of("lora"), **{name: value})
