"""Every operation and the function that answers it. A new operation is one line here."""

from __future__ import annotations

from typing import Final

from treadle.api import (
    activities,
    aliases,
    executions,
    histories,
    map_runs,
    state_machines,
    tags,
    tasks,
    test_state,
    validation,
    versions,
)
from treadle.api.request import Handler

OPERATIONS: Final[dict[str, Handler]] = {
    "CreateActivity": activities.create,
    "CreateStateMachine": state_machines.create,
    "CreateStateMachineAlias": aliases.create,
    "DeleteActivity": activities.delete,
    "DeleteStateMachine": state_machines.delete,
    "DeleteStateMachineAlias": aliases.delete,
    "DeleteStateMachineVersion": versions.delete,
    "DescribeActivity": activities.describe,
    "DescribeExecution": executions.describe,
    "DescribeMapRun": map_runs.describe,
    "DescribeStateMachine": state_machines.describe,
    "DescribeStateMachineAlias": aliases.describe,
    "DescribeStateMachineForExecution": executions.describe_state_machine,
    "GetActivityTask": activities.get_task,
    "GetExecutionHistory": histories.get,
    "ListActivities": activities.list_all,
    "ListExecutions": executions.list_all,
    "ListMapRuns": map_runs.list_all,
    "ListStateMachineAliases": aliases.list_all,
    "ListStateMachineVersions": versions.list_all,
    "ListStateMachines": state_machines.list_all,
    "ListTagsForResource": tags.list_all,
    "PublishStateMachineVersion": versions.publish,
    "RedriveExecution": executions.redrive,
    "SendTaskFailure": tasks.fail,
    "SendTaskHeartbeat": tasks.heartbeat,
    "SendTaskSuccess": tasks.succeed,
    "StartExecution": executions.start,
    "StartSyncExecution": executions.start_sync,
    "StopExecution": executions.stop,
    "TagResource": tags.add,
    "TestState": test_state.test,
    "UntagResource": tags.remove,
    "UpdateMapRun": map_runs.update,
    "UpdateStateMachine": state_machines.update,
    "UpdateStateMachineAlias": aliases.update,
    "ValidateStateMachineDefinition": validation.validate,
}

LONG: Final = frozenset(("GetActivityTask", "StartSyncExecution", "TestState"))
"""Operations that may wait long: they end when their caller is gone."""
