"""The history checker: what must be true of every journal, whatever the machine ran.

Every journal of every test passes through it. It knows the rules of AWS's histories (which event may follow which, what
previousEventId points at) and nothing of how the machine keeps them: it reads entries and builds its own picture of the
scopes. What it must never do is import the interpreter or an execution.

One pass, a constant amount of work per entry and level of nesting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from treadle.language.plan import Plan, StatePlan
from treadle.machine.journal import ABORTED, DETAILS, ENTERED, EXITED, HIDDEN, Entry

ENDS: Final = frozenset(("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"))


class BrokenHistory(AssertionError):
    """A journal that no execution can have written; says which entry and which rule."""


def check_journal(journal: Sequence[Entry], plan: Plan | None = None) -> None:
    """Raise BrokenHistory when the journal breaks a rule. With the plan, states and retries are held against it."""
    check = _Check(plan)
    for index, entry in enumerate(journal):
        try:
            check.take(entry)
        except AssertionError as error:
            raise BrokenHistory(
                f"entry {index + 1}, {entry.type} (id {entry.id}) of frame {entry.frame}: {error}"
            ) from None


# ---- what may follow what within one visit of a state ------------------------------------------------------------

_FRESH: Final = "fresh"  # entered, or about to be tried again
_FAILED: Final = "failed"
_FAILING: Final = "failing"  # something inside a Map or Parallel failed, the rest is being aborted
_ABORTED: Final = "aborted"
_RETRYING: Final = "retrying"
_REDRIVEN: Final = "redriven"  # a Map or Parallel that goes on after a redrive, or starts anew

_States: TypeAlias = Mapping[str, StatePlan]
_Row: TypeAlias = tuple[str, tuple[str, ...], str]


def _task_rows(family: str) -> dict[str, _Row]:
    """Scheduled -> Started (-> Submitted) -> Succeeded, Failed or TimedOut. A refusal may be told late."""
    early, running = ("scheduled", "started"), ("started", "submitted")
    return {
        f"{family}Scheduled": ("Task", (_FRESH,), "scheduled"),
        f"{family}Started": ("Task", ("scheduled",), "started"),
        f"{family}Submitted": ("Task", ("started",), "submitted"),
        f"{family}Succeeded": ("Task", running, "succeeded"),
        f"{family}Failed": ("Task", ("scheduled", *running), _FAILED),
        f"{family}TimedOut": ("Task", running, _FAILED),
        f"{family}ScheduleFailed": ("Task", early, _FAILED),
        f"{family}StartFailed": ("Task", early, _FAILED),
        f"{family}SubmitFailed": ("Task", early, _FAILED),
    }


_WORK: Final[dict[str, _Row]] = {
    **_task_rows("Task"),
    **_task_rows("LambdaFunction"),
    **_task_rows("Activity"),
    "WaitScheduled": ("Wait", (_FRESH,), "waiting"),
    "ParallelStateStarted": ("Parallel", (_FRESH, _REDRIVEN), "running"),
    "ParallelStateSucceeded": ("Parallel", ("running", _REDRIVEN), "succeeded"),
    "ParallelStateFailed": ("Parallel", (_FAILING,), _FAILED),
    "MapStateStarted": ("Map", (_FRESH, _REDRIVEN), "running"),
    "MapRunStarted": ("Map", ("running",), "launched"),
    "MapRunRedriven": ("Map", (_FRESH, _REDRIVEN), "launched"),
    "MapRunSucceeded": ("Map", ("launched",), "running"),
    "MapRunFailed": ("Map", ("launched",), _FAILED),
    "MapRunAborted": ("Map", ("launched",), _FAILED),
    "MapStateSucceeded": ("Map", ("running", _REDRIVEN), "succeeded"),
    # A Map whose ItemSelector fails while iterations run has no iteration that failed.
    "MapStateFailed": ("Map", (_FAILING, _FAILED, "running", _REDRIVEN), _FAILED),
}
"""The state type, the phases in which the event may happen, and the phase after it."""

_BUSY: Final = frozenset(("scheduled", "started", "submitted", "waiting", "launched", _RETRYING))
"""Phases that only the world can end, so that the state can be neither left nor retried nor fail in them."""

_FROM_OUTSIDE: Final = frozenset(
    type
    for type in _WORK
    if type.endswith(("Succeeded", "Failed", "TimedOut", "Submitted", "ActivityStarted", "MapRunAborted"))
    and not type.startswith(("MapState", "ParallelState"))
) | {"TimerFired"}
"""What the world may still say of a scope whose siblings have failed already."""

_ABORTS: Final = frozenset((*ABORTED.values(), "MapIterationAborted", "BranchAborted"))
_CHILD_ENDS: Final = frozenset(
    f"{kind}{how}" for kind in ("MapIteration", "Branch") for how in ("Succeeded", "Failed", "Aborted")
)
_STATE_OF: Final = {type: state for table in (ENTERED, EXITED, ABORTED) for state, type in table.items()}
_NOT_A_LINK: Final = _ABORTS | HIDDEN | {"MapStateSucceeded", "ParallelStateSucceeded", "MapIterationFailed"}
"""Events that nothing ever points at: what follows them points at the event before."""


class _Scope:
    """The checker's picture of one running scope."""

    __slots__ = (
        "children",
        "ended",
        "entered",
        "entered_after",
        "exits",
        "last",
        "length",
        "live",
        "name",
        "parent",
        "phase",
        "retries",
        "room",
        "started",
        "state",
        "won",
    )

    def __init__(self, parent: _Scope | None, last: int) -> None:
        self.parent = parent
        self.last = last  # what the next event of this scope points at
        self.ended: str | None = None
        self.exits = 0
        self.forget_state()

    def forget_state(self) -> None:
        """No state is open."""
        self.state: str | None = None
        self.name = ""
        self.phase = _FRESH
        self.entered = self.entered_after = 0
        self.retries: dict[int, int] = {}
        self.forget_children()

    def forget_children(self) -> None:
        """Nothing runs inside."""
        self.children: dict[int, _Scope] = {}
        self.live = self.started = self.won = self.length = self.room = 0

    def above(self) -> Iterator[_Scope]:
        """The scopes around this one, innermost first."""
        scope = self.parent
        while scope is not None:
            yield scope
            scope = scope.parent


class _Check:
    def __init__(self, plan: Plan | None) -> None:
        self.states: _States = {} if plan is None else {state.name: state for state in plan.every_state()}
        self.root = _Scope(None, 0)
        self.last_id = 0
        self.at = 0.0
        self.ended: str | None = None
        self.redrives = 0

    def take(self, entry: Entry) -> None:
        """One entry further."""
        self._envelope(entry)
        scope = self._scope(entry)
        self._order(entry, scope)
        if entry.id:
            expected = self._expected_previous(entry, scope)
            assert entry.previous in expected, f"previousEventId is one of {sorted(expected)}, not {entry.previous}"
        self._change(entry, scope)
        if entry.type not in _NOT_A_LINK:
            scope.last = 0 if entry.type == "ExecutionStarted" else entry.id

    # ---- every entry ----

    def _envelope(self, entry: Entry) -> None:
        assert entry.at >= self.at, "time runs backwards"
        self.at = entry.at
        assert entry.type in DETAILS or entry.type in HIDDEN, "no such type"
        if entry.type in HIDDEN:
            assert entry.id == 0, "a hidden entry has no id"
        else:
            assert entry.id == self.last_id + 1, f"ids are dense, expected {self.last_id + 1}"
            assert 0 <= entry.previous < entry.id, "previousEventId points back"
            self.last_id = entry.id
        first = entry.type == "ExecutionStarted"
        assert first == (self.last_id == 1 and entry.id == 1), "ExecutionStarted comes first and once"
        if entry.type == "ExecutionRedriven":
            assert self.ended not in (None, "ExecutionSucceeded"), "only what ended unhappily is redriven"
            assert entry.details["redriveCount"] == self.redrives + 1, "redrives are counted"
        else:
            assert self.ended is None, "nothing but a redrive follows the end"
        if entry.type.startswith("Execution") and entry.type != "ExecutionForked":
            assert entry.frame == (), "the execution is the outermost scope"

    def _scope(self, entry: Entry) -> _Scope:
        """The scope an entry is about, a new one where a branch or iteration begins."""
        scope = self.root
        for index in entry.frame:
            inner = scope.children.get(index)
            if inner is None:
                inner = self._begin(entry, scope, index)
            scope = inner
        return scope

    def _begin(self, entry: Entry, parent: _Scope, index: int) -> _Scope:
        begins = entry.type == "MapIterationStarted" if parent.state == "Map" else parent.state == "Parallel"
        assert begins, "no such scope is running"
        scope = _Scope(parent, parent.room)
        parent.children[index] = scope
        parent.live += 1
        return scope

    # ---- order ----

    def _order(self, entry: Entry, scope: _Scope) -> None:
        type = entry.type
        assert scope.ended is None or self._shows_failed_task(entry, scope), "nothing happens in a scope after its end"
        if type in _ABORTS:
            self._abort(entry, scope)
            return
        assert scope.phase != _ABORTED, "what was aborted does nothing more"
        if type not in _FROM_OUTSIDE:
            assert all(each.phase != _FAILING for each in scope.above()), "beside a failure all is aborted"
        if type in _WORK:
            state, phases, _ = _WORK[type]
            assert scope.state == state, f"{type} belongs to a {state}"
            assert scope.phase in phases, f"{type} does not follow in phase {scope.phase}"
        elif type in _STATE_OF:
            self._visit(entry, scope)
        elif type in _CHILD_ENDS:
            self._child_end(entry, scope)
        if type in _RULES:
            _RULES[type](entry, scope, self.states)

    def _shows_failed_task(self, entry: Entry, scope: _Scope) -> bool:
        """The Task that made a Parallel fail is itself shown as aborted."""
        inside = scope.parent is not None and scope.parent.state == "Parallel"
        return entry.type == "TaskStateAborted" and scope.ended == "BranchFailed" and inside

    def _visit(self, entry: Entry, scope: _Scope) -> None:
        name, type = entry.details["name"], _STATE_OF[entry.type]
        if entry.type.endswith("Entered"):
            assert scope.state is None, f"state {scope.name} has been entered and not left"
            if self.states:
                assert self.states[name].type == type, f"{name} is no {type}"
            return
        assert (scope.state, scope.name) == (type, name), f"{type} {name} has not been entered"
        assert scope.phase not in _BUSY, f"a state is not left in phase {scope.phase}"
        assert not scope.live, "a state is not left while scopes run inside"
        if type == "Map" and scope.phase == "running" and scope.length:
            # Nothing tells of it when ItemSelector fails for the first item and that is caught.
            assert scope.started < scope.length, "a Map that is through says so before it is left"

    def _abort(self, entry: Entry, scope: _Scope) -> None:
        assert scope.parent is not None, "the execution itself is stopped, not aborted"
        assert not scope.live, "what is inside is aborted first"
        if entry.type in _STATE_OF:
            assert scope.state == _STATE_OF[entry.type], f"no {_STATE_OF[entry.type]} is open"
            assert scope.phase != _ABORTED, "aborted once"
        else:
            self._child_end(entry, scope)

    def _child_end(self, entry: Entry, scope: _Scope) -> None:
        parent = scope.parent
        assert parent is not None
        iteration = entry.type.startswith("MapIteration")
        assert parent.state == ("Map" if iteration else "Parallel"), f"{entry.type} in a {parent.state}"
        if iteration:
            assert entry.details["index"] == entry.frame[-1], "an iteration is named by its index"
            assert entry.details["name"] == parent.name, "an iteration is named by its Map"
        if entry.type.endswith("Succeeded"):
            assert scope.state is None, f"state {scope.name} is still open"
            assert scope.exits, "a scope has one state at least"
        elif entry.type.endswith("Failed"):
            assert scope.state is not None, "a scope fails in one of its states"
            assert scope.phase not in _BUSY, f"a scope does not fail in phase {scope.phase}"
            assert not scope.live, "what is inside is aborted first"

    # ---- previousEventId ----

    def _expected_previous(self, entry: Entry, scope: _Scope) -> set[int]:
        """What the event may point at."""
        type = entry.type
        if type in ("ExecutionStarted", "ExecutionAborted"):
            return {0}
        if type == "EvaluationFailed":
            return {scope.entered if scope.state == "Wait" else scope.entered_after}
        if type == "MapIterationStarted" and scope.parent is not None:
            return {scope.parent.room}
        if type in _ABORTS:
            failing = {each.last for each in scope.above() if each.phase == _FAILING}
            return failing or {each.last for each in scope.above()}
        return {scope.last}

    # ---- what the entry changes in the picture ----

    def _change(self, entry: Entry, scope: _Scope) -> None:
        type = entry.type
        if type in _CHILD_ENDS:
            self._end_child(entry, scope)
        elif type.endswith("StateEntered"):
            scope.state, scope.name, scope.phase = _STATE_OF[type], entry.details["name"], _FRESH
            scope.entered, scope.entered_after = entry.id, entry.previous
        elif type.endswith("StateExited"):
            scope.exits += 1
            scope.forget_state()
        elif type in ABORTED.values():
            scope.phase = _ABORTED
        elif type in _WORK:
            self._work(entry, scope)
        elif type == "RetryScheduled":
            scope.phase = _RETRYING
            scope.retries[entry.note["retrier"]] = scope.retries.get(entry.note["retrier"], 0) + 1
            scope.forget_children()
        elif type == "TimerFired":
            scope.phase = "due" if scope.phase == "waiting" else _FRESH
        elif type == "EvaluationFailed":
            scope.phase = _FAILING if scope.live else _FAILED
        elif type == "MapIterationStarted" and scope.parent is not None:
            scope.parent.started += 1
        elif type in ENDS:
            self.ended = type
        elif type == "ExecutionRedriven":
            self._redrive(entry)

    def _work(self, entry: Entry, scope: _Scope) -> None:
        type = entry.type
        if type in ("MapStateStarted", "ParallelStateStarted"):
            scope.forget_children()
            scope.length, scope.room = entry.details.get("length", 0), entry.id
        scope.phase = _WORK[type][2]

    def _end_child(self, entry: Entry, scope: _Scope) -> None:
        parent = scope.parent
        assert parent is not None
        parent.live -= 1
        if entry.type.endswith("Succeeded"):
            parent.won += 1
            parent.last = entry.id or scope.last
            if parent.state == "Map":
                parent.room = scope.last
            del parent.children[entry.frame[-1]]
        elif entry.type.endswith("Failed"):
            parent.phase = _FAILING
            parent.last = scope.last
        scope.ended = entry.type

    def _redrive(self, entry: Entry) -> None:
        self.ended = None
        self.redrives += 1
        scopes = [self.root]
        while scopes:
            scope = scopes.pop()
            scope.last, scope.ended, scope.retries = entry.id, None, {}
            scope.phase = _REDRIVEN if scope.state in ("Map", "Parallel") else _FRESH
            scope.live, scope.room = len(scope.children), entry.id
            # AWS 'Redrive': a Fail is entered again.
            if scope.state == "Fail":
                scope.forget_state()
            scopes.extend(scope.children.values())


# ---- rules of single types ----


def _iteration_started(entry: Entry, scope: _Scope, states: _States) -> None:
    parent = scope.parent
    assert parent is not None
    assert parent.phase in ("running", _REDRIVEN), "the Map has started"
    index = entry.details["index"]
    assert index == entry.frame[-1] == parent.started, "iterations start in the order of the items"
    assert index < parent.length, "there is an item for every iteration"
    assert entry.details["name"] == parent.name, "an iteration is named by its Map"


def _retry(entry: Entry, scope: _Scope, states: _States) -> None:
    assert scope.state in ("Task", "Map", "Parallel"), "only Task, Map and Parallel are retried"
    assert scope.phase not in _BUSY, f"no retry in phase {scope.phase}"
    assert not scope.live, "what is inside is aborted first"
    assert entry.note["at"] >= entry.at, "a retry comes later"
    if states:
        retrier: int = entry.note["retrier"]
        rules = states[scope.name].retriers
        assert retrier < len(rules), "the state has that retrier"
        assert scope.retries.get(retrier, 0) < rules[retrier].attempts, "no more retries than MaxAttempts"


def _timer(entry: Entry, scope: _Scope, states: _States) -> None:
    assert scope.phase in ("waiting", _RETRYING), "a timer was started"


def _evaluation_failed(entry: Entry, scope: _Scope, states: _States) -> None:
    assert entry.details["state"] == scope.name, "the failing state is open"
    assert scope.phase not in _BUSY, f"nothing is evaluated in phase {scope.phase}"


def _succeeded(entry: Entry, scope: _Scope, states: _States) -> None:
    assert scope.state is None, f"state {scope.name} is still open"


def _none_inside(entry: Entry, scope: _Scope, states: _States) -> None:
    # A redrive that starts a Map or Parallel anew drops what had been inside.
    assert not scope.live or scope.phase == _REDRIVEN, "what ran inside has ended"


def _all_succeeded(entry: Entry, scope: _Scope, states: _States) -> None:
    assert not scope.live, "what runs inside has ended"
    # The children of a map run are executions of their own.
    assert scope.won == scope.length or not scope.started, "every iteration has succeeded"


def _state_failed(entry: Entry, scope: _Scope, states: _States) -> None:
    assert not scope.live, "what is inside is aborted first"


_RULES: Final[dict[str, Callable[[Entry, _Scope, _States], None]]] = {
    "MapIterationStarted": _iteration_started,
    "MapStateStarted": _none_inside,
    "ParallelStateStarted": _none_inside,
    "MapStateSucceeded": _all_succeeded,
    "ParallelStateSucceeded": _all_succeeded,
    "MapStateFailed": _state_failed,
    "ParallelStateFailed": _state_failed,
    "RetryScheduled": _retry,
    "TimerFired": _timer,
    "EvaluationFailed": _evaluation_failed,
    "ExecutionSucceeded": _succeeded,
}
