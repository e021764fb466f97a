"""The table of fields, against the matrix of the specification."""

from __future__ import annotations

import pytest

from treadle.language import fields
from treadle.language.fields import STATE_TYPES, TABLE, Block, Blocks, default, fields_of, groups_of

# ASL 'State Types', the table of fields: T(ask) P(arallel) M(ap) p(ass) W(ait) C(hoice) S(ucceed) F(ail).
LETTERS = {
    "Task": "T",
    "Parallel": "P",
    "Map": "M",
    "Pass": "p",
    "Wait": "W",
    "Choice": "C",
    "Succeed": "S",
    "Fail": "F",
}
MATRIX = {
    "Type": ("TPMpWCSF", "both"),
    "Comment": ("TPMpWCSF", "both"),
    "QueryLanguage": ("TPMpWCSF", "both"),
    "InputPath": ("TPMpWCS", "JSONPath"),
    "OutputPath": ("TPMpWCS", "JSONPath"),
    "Parameters": ("TPMp", "JSONPath"),
    "Arguments": ("TP", "JSONata"),
    "ResultPath": ("TPMp", "JSONPath"),
    "ResultSelector": ("TPM", "JSONPath"),
    "Output": ("TPMpWCS", "JSONata"),
    "Assign": ("TPMpWC", "both"),
    "Next": ("TPMpW", "both"),
    "End": ("TPMpW", "both"),
    "Retry": ("TPM", "both"),
    "Catch": ("TPM", "both"),
}


@pytest.mark.parametrize(("name", "where", "languages"), [(name, *row) for name, row in MATRIX.items()])
def test_common_fields_stand_where_the_specification_says(name: str, where: str, languages: str) -> None:
    allowed = {type_ for type_ in STATE_TYPES if name in fields_of(type_)}
    assert allowed == {type_ for type_, letter in LETTERS.items() if letter in where}
    assert {fields_of(type_)[name].languages for type_ in allowed} == {languages}


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        ("Retrier", "IntervalSeconds", 1),
        ("Retrier", "MaxAttempts", 3),
        ("Retrier", "BackoffRate", 2.0),
        ("Retrier", "JitterStrategy", "NONE"),
        ("Task", "TimeoutSeconds", 99_999_999),
        ("Pass", "ResultPath", "$"),
        ("Machine", "QueryLanguage", "JSONPath"),
        ("Map", "MaxConcurrency", 0),
        ("ProcessorConfig", "Mode", "INLINE"),
        ("Retrier", "MaxDelaySeconds", None),
    ],
)
def test_absent_fields_have_the_defaults_of_the_specification(block: str, name: str, value: object) -> None:
    assert default(block, name) == value


def test_there_are_39_comparisons() -> None:
    assert len(fields.COMPARISONS) == 39


def test_a_block_has_each_field_once() -> None:
    for block in {block for field in TABLE for block in field.blocks.split()}:
        names = [field.name for field in TABLE if block in field.blocks.split()]
        assert len(names) == len(set(names)), block


def test_every_block_that_a_field_holds_has_fields() -> None:
    inner = {field.kind.name for field in TABLE if isinstance(field.kind, Block | Blocks)}
    assert all(fields_of(name) for name in inner)


def test_a_group_is_required_as_a_whole_or_not_at_all() -> None:
    for block in {block for field in TABLE for block in field.blocks.split()}:
        for group in groups_of(block).values():
            assert len({field.required for field in group}) == 1
