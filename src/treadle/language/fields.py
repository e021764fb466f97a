"""The specification of Amazon States Language as one table: which field may stand where, and what its value may be.

`lints.shape` interprets the table, `compile` may read the defaults from it. It holds data only: what a field does is
elsewhere, and rules that join several fields (variables, transitions, resources) are the other modules of `lints`.

A *block* is an object of the language: a state by its type ("Task"), and every other object by the names below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from treadle.language.scope import Json

QueryLanguage = Literal["JSONPath", "JSONata"]

StateType = Literal["Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map"]
STATE_TYPES: Final[tuple[StateType, ...]] = ("Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map")
"""In the order in which AWS lists them."""

Languages = Literal["both", "JSONPath", "JSONata"]


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `values` are the only ones allowed, where there are any."""

    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A string of RFC 3339 with upper-case `T` and `Z`."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from `low` to `high`."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, fractions allowed."""

    low: float = float("-inf")
    high: float = float("inf")


@dataclass(frozen=True, slots=True)
class Query:
    """A JSONPath string.

    `to_one` is a reference path by the specification; AWS is known to insist on it only where the path `writes`, which
    also means a place in the data itself, neither a variable nor the context object. `nullable` allows null,
    `intrinsic` an intrinsic function instead.
    """

    to_one: bool = False
    nullable: bool = False
    intrinsic: bool = False
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Literally:
    """Any JSON value, as it is."""


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON value with dynamic parts: JSONPath's `"x.$": "$.y"`, JSONata's `{% %}` strings at any depth.

    `needs_object` asks for an object, so that its fields have names.
    """

    needs_object: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """JSONata's Items: an expression, or an array or object with expressions inside."""


@dataclass(frozen=True, slots=True)
class Errors:
    """A list of error names."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of strings."""


@dataclass(frozen=True, slots=True)
class States:
    """An object of states by name."""


@dataclass(frozen=True, slots=True)
class Block:
    """An object that is a block of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Blocks:
    """A list of objects, each a block of this name."""

    name: str
    may_be_empty: bool = False


Kind: TypeAlias = (
    Text
    | Timestamp
    | Boolean
    | Integer
    | Number
    | Query
    | Literally
    | Template
    | Items
    | Errors
    | Texts
    | States
    | Block
    | Blocks
)


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the table.

    `blocks` are the blocks that may carry the field, with blanks between. `dynamic` allows a JSONata expression in
    place of a value of `kind`. Of all fields of a `group` at most one may be present, and one must be if they are
    `required`.
    """

    name: str
    blocks: str
    kind: Kind
    languages: Languages = "both"
    required: bool = False
    default: Json = None
    dynamic: bool = False
    group: str = ""

    def speaks(self, language: QueryLanguage) -> bool:
        """Whether the field exists in this query language."""
        return self.languages in ("both", language)


MOST_SECONDS: Final = 99_999_999

_SCOPES = "Machine Branch Processor"
_STATES = " ".join(STATE_TYPES)
_WORKERS = "Task Parallel Map"
_PASSING = "Task Parallel Map Pass Wait"

_DELIMITERS = ("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")
_ORDERS = ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")

# ASL 'Data-test expressions'.
COMPARISONS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **{f"String{order}": Text() for order in _ORDERS},
        **{f"Numeric{order}": Number() for order in _ORDERS},
        **{f"Timestamp{order}": Timestamp() for order in _ORDERS},
        "BooleanEquals": Boolean(),
        "StringMatches": Text(),
        **{
            f"{type_}{order}Path": Query(to_one=True)
            for type_ in ("String", "Numeric", "Timestamp")
            for order in _ORDERS
        },
        "BooleanEqualsPath": Query(to_one=True),
        **{f"Is{type_}": Boolean() for type_ in ("Null", "Present", "Numeric", "String", "Boolean", "Timestamp")},
    }
)

TABLE: Final[tuple[Field, ...]] = (
    # The machine and the scopes inside it.
    Field("Comment", f"{_SCOPES} {_STATES} Retrier Catcher Rule Condition", Text()),
    Field("Version", "Machine", Text()),
    Field("QueryLanguage", f"Machine {_STATES}", Text(("JSONPath", "JSONata")), default="JSONPath"),
    Field("TimeoutSeconds", "Machine", Integer(1, MOST_SECONDS)),
    Field("States", _SCOPES, States(), required=True),
    Field("StartAt", _SCOPES, Text(), required=True),
    Field("ProcessorConfig", "Processor", Block("ProcessorConfig")),
    Field("Mode", "ProcessorConfig", Text(("INLINE", "DISTRIBUTED")), default="INLINE"),
    Field("ExecutionType", "ProcessorConfig", Text(("STANDARD", "EXPRESS"))),
    # Every state, and how one follows another.
    Field("Type", _STATES, Text(STATE_TYPES), required=True),
    Field("Next", _PASSING, Text(), required=True, group="Next, End"),
    Field("End", _PASSING, Boolean(), required=True, group="Next, End"),
    # The way of the data.
    Field("InputPath", f"{_PASSING} Choice Succeed", Query(nullable=True), "JSONPath", default="$"),
    Field("OutputPath", f"{_PASSING} Choice Succeed", Query(nullable=True), "JSONPath", default="$"),
    Field("Parameters", "Task Parallel Pass", Template(), "JSONPath"),
    Field("Parameters", "Map", Template(), "JSONPath", group="ItemSelector, Parameters"),
    Field("Arguments", "Task Parallel", Template(), "JSONata"),
    Field("ResultSelector", _WORKERS, Template(), "JSONPath"),
    Field("ResultPath", "Task Parallel Map Pass", Query(True, nullable=True, writes=True), "JSONPath", default="$"),
    Field("Output", f"{_PASSING} Choice Succeed Rule Catcher", Template(), "JSONata"),
    Field("Assign", f"{_PASSING} Choice Rule Catcher", Template(needs_object=True)),
    # Errors. ASL 'Retrier Fields' and 'Catcher Fields'.
    Field("Retry", _WORKERS, Blocks("Retrier", may_be_empty=True)),
    Field("Catch", _WORKERS, Blocks("Catcher", may_be_empty=True)),
    Field("ErrorEquals", "Retrier Catcher", Errors(), required=True),
    Field("IntervalSeconds", "Retrier", Integer(1, MOST_SECONDS), default=1),
    Field("MaxAttempts", "Retrier", Integer(0, MOST_SECONDS), default=3),
    Field("BackoffRate", "Retrier", Number(1.0), default=2.0),
    Field("MaxDelaySeconds", "Retrier", Integer(1, 31_622_400)),
    Field("JitterStrategy", "Retrier", Text(("FULL", "NONE")), default="NONE"),
    Field("Next", "Catcher", Text(), required=True),
    Field("ResultPath", "Catcher", Query(True, nullable=True, writes=True), "JSONPath", default="$"),
    # Task
    Field("Resource", "Task", Text(), required=True),
    Field("Credentials", "Task", Template(needs_object=True)),
    Field("TimeoutSeconds", "Task", Integer(1, MOST_SECONDS), default=MOST_SECONDS, dynamic=True, group="Timeout"),
    Field("TimeoutSecondsPath", "Task", Query(to_one=True), "JSONPath", group="Timeout"),
    Field("HeartbeatSeconds", "Task", Integer(1, MOST_SECONDS), dynamic=True, group="Heartbeat"),
    Field("HeartbeatSecondsPath", "Task", Query(to_one=True), "JSONPath", group="Heartbeat"),
    # Pass
    Field("Result", "Pass", Literally(), "JSONPath"),
    # Wait
    Field("Seconds", "Wait", Integer(0, MOST_SECONDS), required=True, dynamic=True, group="Duration"),
    Field("Timestamp", "Wait", Timestamp(), required=True, dynamic=True, group="Duration"),
    Field("SecondsPath", "Wait", Query(to_one=True), "JSONPath", required=True, group="Duration"),
    Field("TimestampPath", "Wait", Query(to_one=True), "JSONPath", required=True, group="Duration"),
    # Choice. A Rule is one of Choices, a Condition stands within And, Or or Not.
    Field("Choices", "Choice", Blocks("Rule"), required=True),
    Field("Default", "Choice", Text()),
    Field("Next", "Rule", Text(), required=True),
    Field("Condition", "Rule", Boolean(), "JSONata", required=True, dynamic=True),
    Field("Variable", "Rule Condition", Query(to_one=True), "JSONPath"),
    Field("And", "Rule Condition", Blocks("Condition"), "JSONPath", required=True, group="Comparison"),
    Field("Or", "Rule Condition", Blocks("Condition"), "JSONPath", required=True, group="Comparison"),
    Field("Not", "Rule Condition", Block("Condition"), "JSONPath", required=True, group="Comparison"),
    *(
        Field(name, "Rule Condition", kind, "JSONPath", required=True, group="Comparison")
        for name, kind in COMPARISONS.items()
    ),
    # Fail
    Field("Error", "Fail", Text(), dynamic=True, group="Error"),
    Field("ErrorPath", "Fail", Query(to_one=True, intrinsic=True), "JSONPath", group="Error"),
    Field("Cause", "Fail", Text(), dynamic=True, group="Cause"),
    Field("CausePath", "Fail", Query(to_one=True, intrinsic=True), "JSONPath", group="Cause"),
    # Parallel
    Field("Branches", "Parallel", Blocks("Branch"), required=True),
    # Map
    Field("ItemProcessor", "Map", Block("Processor"), required=True, group="ItemProcessor, Iterator"),
    Field("Iterator", "Map", Block("Processor"), required=True, group="ItemProcessor, Iterator"),
    Field("Items", "Map", Items(), "JSONata"),
    Field("ItemsPath", "Map", Query(to_one=True), "JSONPath", default="$"),
    Field("ItemSelector", "Map", Template(), group="ItemSelector, Parameters"),
    Field("MaxConcurrency", "Map", Integer(0, MOST_SECONDS), default=0, dynamic=True, group="MaxConcurrency"),
    Field("MaxConcurrencyPath", "Map", Query(to_one=True), "JSONPath", group="MaxConcurrency"),
    Field("ToleratedFailurePercentage", "Map", Number(0, 100), default=0, dynamic=True, group="Percentage"),
    Field("ToleratedFailurePercentagePath", "Map", Query(to_one=True), "JSONPath", group="Percentage"),
    Field("ToleratedFailureCount", "Map", Integer(0, 2**31 - 1), default=0, dynamic=True, group="Count"),
    Field("ToleratedFailureCountPath", "Map", Query(to_one=True), "JSONPath", group="Count"),
    Field("Label", "Map", Text()),
    Field("ItemReader", "Map", Block("ItemReader")),
    Field("ItemBatcher", "Map", Block("ItemBatcher")),
    Field("ResultWriter", "Map", Block("ResultWriter")),
    Field("Resource", "ItemReader", Text(), required=True),
    Field("Parameters", "ItemReader ResultWriter", Template(), "JSONPath"),
    Field("Arguments", "ItemReader ResultWriter", Template(), "JSONata"),
    Field("ReaderConfig", "ItemReader", Block("ReaderConfig")),
    Field("InputType", "ReaderConfig", Text(("CSV", "JSON", "JSONL", "MANIFEST", "PARQUET")), dynamic=True),
    Field("Transformation", "ReaderConfig", Text(("NONE", "LOAD_AND_FLATTEN")), default="NONE", dynamic=True),
    Field("ManifestType", "ReaderConfig", Text(("S3_INVENTORY", "ATHENA_DATA")), dynamic=True),
    Field("CSVHeaderLocation", "ReaderConfig", Text(("FIRST_ROW", "GIVEN")), dynamic=True),
    Field("CSVHeaders", "ReaderConfig", Texts()),
    Field(
        "CSVDelimiter",
        "ReaderConfig",
        Text(("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")),
        default="COMMA",
        dynamic=True,
    ),
    Field("ItemsPointer", "ReaderConfig", Text(), dynamic=True),
    Field("MaxItems", "ReaderConfig", Integer(0, 100_000_000), dynamic=True, group="MaxItems"),
    Field("MaxItemsPath", "ReaderConfig", Query(to_one=True), "JSONPath", group="MaxItems"),
    Field("MaxItemsPerBatch", "ItemBatcher", Integer(1, MOST_SECONDS), dynamic=True, group="Items"),
    Field("MaxItemsPerBatchPath", "ItemBatcher", Query(to_one=True), "JSONPath", group="Items"),
    Field("MaxInputBytesPerBatch", "ItemBatcher", Integer(1, 262_144), dynamic=True, group="Bytes"),
    Field("MaxInputBytesPerBatchPath", "ItemBatcher", Query(to_one=True), "JSONPath", group="Bytes"),
    Field("BatchInput", "ItemBatcher", Template()),
    Field("Resource", "ResultWriter", Text()),
    Field("WriterConfig", "ResultWriter", Block("WriterConfig")),
    Field("OutputType", "WriterConfig", Text(("JSON", "JSONL")), default="JSON"),
    Field("Transformation", "WriterConfig", Text(("NONE", "COMPACT", "FLATTEN")), default="NONE"),
)


@cache
def fields_of(block: str) -> Mapping[str, Field]:
    """The fields that a block may carry, by name; empty for a block that does not exist."""
    return MappingProxyType({field.name: field for field in TABLE if block in field.blocks.split()})


@cache
def groups_of(block: str) -> Mapping[str, tuple[Field, ...]]:
    """The groups of fields that exclude each other in a block, by the group's name."""
    groups: dict[str, tuple[Field, ...]] = {}
    for field in _grouped(block):
        groups[field.group] = (*groups.get(field.group, ()), field)
    return MappingProxyType(groups)


def _grouped(block: str) -> Iterator[Field]:
    return (field for field in fields_of(block).values() if field.group)


DISTRIBUTED_ONLY: Final = frozenset({"Label", "ItemReader", "ItemBatcher", "ResultWriter"})
"""Fields that only a Map in DISTRIBUTED mode may have. Tolerated failures are not among them (observed on AWS)."""


def default(block: str, name: str) -> Json:
    """What a field means when it is absent; None where it then means nothing."""
    return fields_of(block)[name].default
