"""Regular expressions of ECMAScript, matched by a backtracking machine that counts its steps.

It owns the matching, so that a catastrophic pattern (`(a+)+$`) runs out of its allowance instead of hanging the
process. It never uses Python's own matcher on a user's pattern, except for runs of single characters, which cannot
backtrack. Neighbours: `jsonata/pattern.py` reads the syntax, the parser makes a `Regex` of a literal, the functions
match with it.

Characters are code points, where ECMAScript without the `u` flag sees UTF-16 units.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from treadle.language.queries.jsonata.errors import MEMORY, LimitExceeded
from treadle.language.queries.jsonata.pattern import (
    Again,
    Chain,
    Chars,
    Edge,
    Either,
    Group,
    Look,
    Pattern,
    Reader,
    RegexError,
    Repeat,
)
from treadle.language.queries.jsonata.values import Run

_LONGEST_PROGRAM = 20_000
_DEEPEST_STACK = 500_000
# What one step of the machine costs, in evaluated nodes.
_COST = 2
# What an entry of the backtrack stack is, when it is not the number of a register to restore.
_OTHER, _SHORTER, _LONGER = -1, -2, -3


class _Set(dict[str, bool]):
    """Whether a character belongs to a set, remembered per character; `find` and `run` search for members."""

    def __init__(self, chars: Chars, ignore_case: bool) -> None:
        super().__init__()
        inside = "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in chars.ranges)
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        nothing, sign = (".", "^") if chars.negative else ("(?!)", "")
        member = re.compile(f"[{sign}{inside}]" if inside else nothing, flags)
        self.find = member.search
        self.run = re.compile(f"(?:{member.pattern})*", flags).match

    def __missing__(self, character: str) -> bool:
        self[character] = found = self.find(character) is not None
        return found


# One instruction: an operation, the characters it looks for, two numbers and a flag.
_CHARS, _RUN, _SPLIT, _JUMP, _SAVE, _EDGE, _AGAIN, _LOOK, _RESET, _MOVED, _DONE = range(11)
_Instruction = tuple[int, _Set, int, int, bool]
_NOBODY = _Set(Chars(()), False)
_EDGES = "^$bB"


class _Program:
    """Compiles a pattern to instructions. Going backwards (lookbehind) everything is laid out in reverse.

    Registers: two per group for its start and end, then one per optional iteration for where it began.
    """

    def __init__(self, ignore_case: bool, groups: int) -> None:
        self.ignore_case = ignore_case
        self.code: list[_Instruction] = []
        self.registers = 2 * groups + 2

    def emit(self, operation: int, first: int = 0, second: int = 0, flag: bool = False, chars: _Set = _NOBODY) -> int:
        if len(self.code) >= _LONGEST_PROGRAM:
            raise RegexError("Regular expression too large")
        self.code.append((operation, chars, first, second, flag))
        return len(self.code) - 1

    def aim(self, at: int, first: int | None = None, second: int | None = None) -> None:
        """Set the targets of a split or jump that was emitted before they were known."""
        operation, chars, old_first, old_second, flag = self.code[at]
        targets = (old_first if first is None else first, old_second if second is None else second)
        self.code[at] = (operation, chars, *targets, flag)

    def add(self, pattern: Pattern, back: bool) -> None:
        match pattern:
            case Chars():
                self.emit(_CHARS, flag=back, chars=_Set(pattern, self.ignore_case))
            case Edge(kind):
                self.emit(_EDGE, _EDGES.index(kind))
            case Again(group):
                self.emit(_AGAIN, group, flag=back)
            case Group(body, index):
                self.emit(_SAVE, 2 * index + back)
                self.add(body, back)
                self.emit(_SAVE, 2 * index + (not back))
            case Chain(items):
                for item in reversed(items) if back else items:
                    self.add(item, back)
            case Either(options):
                self.either(options, back)
            case Look(body, behind, negative):
                look = self.emit(_LOOK, flag=negative)
                self.add(body, behind)
                self.emit(_DONE)
                self.aim(look, first=len(self.code))
            case Repeat():
                self.repeat(pattern, back)

    def either(self, options: tuple[Pattern, ...], back: bool) -> None:
        jumps: list[int] = []
        for option in options[:-1]:
            split = self.emit(_SPLIT, len(self.code) + 1)
            self.add(option, back)
            jumps.append(self.emit(_JUMP))
            self.aim(split, second=len(self.code))
        self.add(options[-1], back)
        for jump in jumps:
            self.aim(jump, first=len(self.code))

    def repeat(self, pattern: Repeat, back: bool) -> None:
        body, least, most = pattern.body, pattern.least, pattern.most
        if isinstance(body, Chars) and not back:
            longest = -1 if most is None else most
            self.emit(_RUN, least, longest, pattern.greedy, _Set(body, self.ignore_case))
            return
        for _ in range(least):
            self.once(pattern, back)
        if most is None:
            split = self.optional(pattern, back)
            self.emit(_JUMP, split)
            self.leave(split, pattern.greedy)
        else:
            for split in [self.optional(pattern, back) for _ in range(most - least)]:
                self.leave(split, pattern.greedy)

    def optional(self, pattern: Repeat, back: bool) -> int:
        """One iteration that may be left out; its split has yet to be told where that leads."""
        following = len(self.code) + 1
        split = self.emit(_SPLIT, following, following)
        register = self.registers
        self.registers += 1
        self.emit(_SAVE, register)
        self.once(pattern, back)
        # ECMA-262 RepeatMatcher: an iteration beyond the least number must not match nothing.
        self.emit(_MOVED, register)
        return split

    def once(self, pattern: Repeat, back: bool) -> None:
        if pattern.last_group > pattern.first_group:
            self.emit(_RESET, 2 * pattern.first_group + 2, 2 * pattern.last_group + 2)
        self.add(pattern.body, back)

    def leave(self, split: int, greedy: bool) -> None:
        if greedy:
            self.aim(split, second=len(self.code))
        else:
            self.aim(split, first=len(self.code))


@dataclass(frozen=True, slots=True)
class Found:
    """One match: where it is, and the text of each group (None where a group took no part)."""

    start: int
    end: int
    groups: tuple[str | None, ...]


class Regex:
    """A compiled regular expression."""

    def __init__(self, source: str, multiline: bool, groups: int, program: _Program) -> None:
        self.source = source
        self._multiline = multiline
        self._groups = groups
        self._code = [*program.code, (_DONE, _NOBODY, 0, 0, False)]
        self._registers = program.registers
        operation, chars, least = self._code[0][:3]
        starts = operation == _CHARS or (operation == _RUN and least > 0)
        self._first = chars if starts else None

    def search(self, text: str, start: int, run: Run) -> Found | None:
        """The first match at or after `start`; raises LimitExceeded when looking for it takes too long."""
        while start <= len(text):
            if self._first is not None:
                candidate = self._first.find(text, start)
                if candidate is None:
                    return None
                start = candidate.start()
            registers = [-1] * self._registers
            end = self._match(0, text, start, registers, run)
            if end >= 0:
                pairs = [registers[2 * group : 2 * group + 2] for group in range(1, self._groups + 1)]
                return Found(start, end, tuple([text[a:b] if a >= 0 and b >= 0 else None for a, b in pairs]))
            start += 1
        return None

    def _match(self, pc: int, text: str, at: int, registers: list[int], run: Run) -> int:
        """Where a match from `at` ends, or -1. The stack holds what to try next, and register values to restore."""
        code, length = self._code, len(text)
        stack: list[tuple[int, int, int, int]] = []
        steps = 1
        while True:
            steps += 1
            if steps > 1000:
                run.spend(_COST * steps)
                steps = 0
                if len(stack) > _DEEPEST_STACK:
                    raise LimitExceeded(MEMORY)
            operation, chars, first, second, flag = code[pc]
            pc += 1
            failed = False
            if operation == _CHARS:
                if flag:
                    at -= 1
                    failed = at < 0 or not chars[text[at]]
                else:
                    failed = at >= length or not chars[text[at]]
                    at += 1
            elif operation == _RUN:
                match = chars.run(text, at, length if second < 0 else min(length, at + second))
                furthest = match.end() if match else at
                nearest = at + first
                steps += (furthest - at) >> 4
                failed = furthest < nearest
                at = furthest if flag else nearest
                if nearest < furthest:
                    stack.append((pc, at - 1, nearest, _SHORTER) if flag else (pc, at + 1, furthest, _LONGER))
            elif operation == _SPLIT:
                stack.append((second, at, 0, _OTHER))
                pc = first
            elif operation == _JUMP:
                pc = first
            elif operation == _SAVE:
                stack.append((0, 0, registers[first], first))
                registers[first] = at
            elif operation == _MOVED:
                failed = registers[first] == at
            elif operation == _RESET:
                stack.extend([(0, 0, registers[each], each) for each in range(first, second)])
                registers[first:second] = [-1] * (second - first)
            elif operation == _EDGE:
                failed = not self._edge(_EDGES[first], text, at)
            elif operation == _AGAIN:
                at, failed = self._again(first, text, at, registers, flag)
            elif operation == _LOOK:
                before = registers[:]
                found = self._match(pc, text, at, registers, run) >= 0
                failed = found is flag
                if failed or flag:
                    registers[:] = before
                else:
                    stack.extend([(0, 0, old, each) for each, old in enumerate(before) if old != registers[each]])
                pc = first
            else:
                run.spend(_COST * steps)
                return at
            while failed:
                if not stack:
                    run.spend(_COST * steps)
                    return -1
                pc, at, other, kind = stack.pop()
                if kind >= 0:
                    registers[kind] = other
                    continue
                if kind == _SHORTER and at > other:
                    stack.append((pc, at - 1, other, kind))
                elif kind == _LONGER and at < other:
                    stack.append((pc, at + 1, other, kind))
                failed = False

    def _edge(self, kind: str, text: str, at: int) -> bool:
        if kind == "^":
            return at == 0 or (self._multiline and text[at - 1] in "\n\r\u2028\u2029")
        if kind == "$":
            return at == len(text) or (self._multiline and text[at] in "\n\r\u2028\u2029")
        before = at > 0 and _is_word(text[at - 1])
        after = at < len(text) and _is_word(text[at])
        return (before != after) is (kind == "b")

    def _again(self, group: int, text: str, at: int, registers: list[int], back: bool) -> tuple[int, bool]:
        start, end = registers[2 * group : 2 * group + 2]
        if start < 0 or end < 0:
            return at, False
        size = end - start
        low = at - size if back else at
        same = low >= 0 and text[low : low + size] == text[start:end]
        return (low if back else at + size), not same


def _is_word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def parse_regex(source: str, flags: str) -> Regex:
    """The regex of a literal `/source/flags`: `i` ignores case, `m` makes ^ and $ see lines; raises RegexError."""
    reader = Reader(source)
    pattern = reader.whole()
    program = _Program("i" in flags, reader.groups)
    program.add(pattern, False)
    return Regex(source, "m" in flags, reader.groups, program)
