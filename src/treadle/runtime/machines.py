"""State machines as the engine runs them: a definition that is kept, and who it belongs to."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from treadle.language.compile import compile_definition, plan_of
from treadle.language.definition import parse
from treadle.language.plan import MapPlan, Plan
from treadle.runtime.ports import Member, Store, Summary

LONGEST_EXPRESS: Final = 300.0
"""AWS quota: the seconds that an Express execution may take."""
_PLANS: Final = 256


@dataclass(frozen=True, kw_only=True)
class StateMachine:
    """A state machine as an execution sees it. `definition` is its text, `revision` what the catalog calls it."""

    arn: str
    name: str
    definition: str
    role_arn: str
    type: Literal["STANDARD", "EXPRESS"] = "STANDARD"
    version_arn: str | None = None
    alias_arn: str | None = None
    revision: str | None = None

    @cached_property
    def digest(self) -> str:
        """What names the definition in the store."""
        return hashlib.sha256(self.definition.encode("utf-8", "surrogatepass")).hexdigest()


class Plans:
    """The compiled definitions of running executions, the last used ones in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    async def keep(self, machine: StateMachine) -> Plan:
        """The plan of a machine about to be run, its definition kept for recovery. Raises DefinitionError."""
        digest = machine.digest
        plan = self._plans.get(digest)
        if plan is None:
            plan = compile_definition(machine.definition, machine.type)
            await self._store.put_definition(digest, machine.definition)
            self._remember(digest, plan)
        return plan

    async def get(self, digest: str) -> Plan:
        """The plan of a kept definition. It ran before, so what lint says of it now does not matter."""
        plan = self._plans.get(digest)
        if plan is None:
            definition, _ = parse(await self._store.definition(digest))
            assert definition is not None, "what is kept was parsed before"
            plan = plan_of(definition.root)
            self._remember(digest, plan)
        return plan

    async def of(self, summary: Summary) -> Plan:
        """The plan of an execution: the whole definition, or the processor of a Map that it is a child of."""
        plan = await self.get(summary.definition)
        return plan if summary.member is None else processor_of(plan, summary.member)

    def _remember(self, digest: str, plan: Plan) -> None:
        self._plans[digest] = plan
        self._plans.move_to_end(digest)
        if len(self._plans) > _PLANS:
            self._plans.popitem(last=False)


def processor_of(plan: Plan, member: Member) -> Plan:
    """What the children of a map run are executions of."""
    state = plan.state(member.state)
    assert isinstance(state, MapPlan), "map runs are of Maps"
    return state.processor


def execution_arn(machine_arn: str, name: str) -> str:
    """The ARN of an execution of a machine."""
    return f"{machine_arn.replace(':stateMachine:', ':execution:', 1)}:{name}"
