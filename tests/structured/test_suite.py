"""A handful of schemas through masks; `make structured` takes the whole test suite."""

from typing import Any

import pytest

from server.errors import InvalidRequest
from tests.structured.suite import MaskChecker

CASES: list[tuple[Any, list[str], list[str]]] = [
    ({"const": None}, ["null"], ["0", '""', "false"]),
    ({"type": "integer", "minimum": -3, "exclusiveMaximum": 12}, ["-3", "11"], ["-4", "12", "1.5"]),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"東京🙂"'], ['"a"', '"abcd"']),
    ({"type": "string", "pattern": "^a+b$"}, ['"aab"'], ['"b"', '"ab "']),
    ({"type": "string", "format": "date"}, ['"2026-11-27"'], ['"2026-13-27"', '"today"']),
    ({"enum": ["x", 1, None]}, ['"x"', "1", "null"], ['"1"', "2"]),
    (
        {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
        ["[true]", "[true, false]"],
        ["[]", "[true, true, true]", "[1]"],
    ),
    (
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/n"}},
            "required": ["b"],
            "additionalProperties": False,
            "$defs": {"n": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
        },
        ['{"b": 1.5}', '{"a": "x", "b": null}'],
        ['{"a": "x"}', '{"b": "1"}', '{"b": 1, "c": 2}'],
    ),
]


@pytest.fixture(scope="module")
def masks() -> MaskChecker:
    return MaskChecker()


@pytest.mark.parametrize(("schema", "valid", "invalid"), CASES)
def test_masks_let_valid_values_pass_and_no_others(
    masks: MaskChecker, schema: Any, valid: list[str], invalid: list[str]
) -> None:
    assert masks.writes(schema, valid) == [True] * len(valid)
    assert masks.writes(schema, invalid) == [False] * len(invalid)


@pytest.mark.parametrize(
    "keyword", ["not", "uniqueItems", "contains", "if", "dependentRequired", "unevaluatedItems"]
)
def test_a_keyword_that_is_not_enforced_is_named(masks: MaskChecker, keyword: str) -> None:
    for schema in ({keyword: {}}, {"type": "array", "items": {keyword: True}}):
        with pytest.raises(InvalidRequest, match=keyword):
            masks.writes(schema, [])
