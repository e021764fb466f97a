"""Each way through the approval, with the real functions, in virtual time: its history and its logs in S3.

Where nothing belongs to an execution, the test says what is logged instead.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from approval_workflow import Release, Workflow, soon

TASK = "TaskStateEntered TaskScheduled TaskStarted TaskSucceeded TaskStateExited"
AGAIN = "TaskScheduled TaskStarted TaskFailed"
READ = [f"Read input: {TASK}", "Is the input usable?: ChoiceStateEntered ChoiceStateExited"]
CALLED = [
    "Call APIs: ParallelStateEntered ParallelStateStarted ParallelStateSucceeded ParallelStateExited",
    *(f"{each}: {TASK}" for each in ("Validate", "Deploy", "Notify")),
]
BEGUN = ["the input was read"]
ASKED = [
    *BEGUN,
    "the packages are valid",
    "the packages are deployed to staging",
    "the stakeholders were told",
    "waiting for approval",
]
PARALLEL = "Approval: ParallelStateEntered ParallelStateStarted ParallelStateFailed ParallelStateExited"
SUBMITTED = "Wait for decision: TaskStateEntered TaskScheduled TaskStarted TaskSubmitted"
CLOSED = f"Close approval: {TASK}"
WRITTEN = [
    f"Write result: {TASK}",
    f"Write log: {TASK}",
    "Did it succeed?: ChoiceStateEntered ChoiceStateExited",
]
SUCCEEDED = [
    *WRITTEN,
    "Done: SucceedStateEntered SucceedStateExited",
    "Execution: ExecutionStarted ExecutionSucceeded",
]
FAILED = [
    *WRITTEN,
    f"Write error log: {TASK}",
    "Failed: FailStateEntered",
    "Execution: ExecutionStarted ExecutionFailed",
]
APPROVED = [
    *READ,
    *CALLED,
    PARALLEL,
    f"{SUBMITTED} TaskSucceeded TaskStateExited",
    "Decided: FailStateEntered WaitStateAborted",
    "Wait before the reminder: WaitStateEntered",
    CLOSED,
    *SUCCEEDED,
]
REJECTED = [
    *READ,
    *CALLED,
    PARALLEL,
    f"{SUBMITTED} TaskFailed TaskStateAborted WaitStateAborted",
    "Wait before the reminder: WaitStateEntered",
    CLOSED,
    *FAILED,
]


@pytest.fixture(autouse=True)
def no_faults(workflow: Workflow) -> Iterator[None]:
    yield
    workflow.routes.faults.clear()


@pytest.fixture
def story() -> str:
    """A story of this test alone."""
    return f"WAY-{time.time_ns() % 10**10}"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """What the functions log: on AWS it goes to the log group of each."""
    caplog.set_level(logging.INFO, "approval")

    def told() -> list[dict[str, Any]]:
        return [json.loads(each.message) for each in caplog.records if each.name == "approval"]

    yield told


def vote(story: str, status: str = "success", who: str = "ann", message: str = "fine", **more: str) -> dict[str, Any]:
    return {"story": story, "status": status, "approver": who, "message": message, **more}


def untouched(release: Release) -> None:
    """It waits as before, and nothing is written yet."""
    assert release.described()["status"] == "RUNNING"
    assert release.row()["state"] == "PENDING" and release.row()["votes"] == []
    assert release.log() is release.errors() is release.result() is None


def test_approved(workflow: Workflow, story: str) -> None:
    release = workflow.start(story).waits()
    assert workflow.callback(vote(story))[0] == 200
    assert release.ended()["status"] == "SUCCEEDED"
    assert release.history() == APPROVED
    assert release.log() == [*ASKED, "success decided by ann", "succeeded"]
    assert release.errors() is None
    result = release.result()
    assert result is not None
    assert (result["execution"], result["story"], result["status"], result["error"]) == (
        release.name, story, "SUCCEEDED", None,
    )  # fmt: skip
    assert [(each["who"], each["message"]) for each in result["decision"]["votes"]] == [("ann", "fine")]
    assert set(result["apis"]) == {"validation", "deployment", "notification"}


def test_rejected(workflow: Workflow, story: str) -> None:
    release = workflow.start(story).waits()
    assert workflow.callback(vote(story, "failure", "bob", "no\n2026-01-01T00:00:00Z succeeded"))[0] == 200
    assert release.ended()["error"] == "Approval.Rejected"
    assert release.history() == REJECTED
    assert release.log() == [*ASKED, "failure decided by bob", "failed: Approval.Rejected"]
    # What somebody writes stays in its line.
    assert release.errors() == ["Approval.Rejected: no 2026-01-01T00:00:00Z succeeded"]
    assert release.result()["status"] == "FAILED"  # type: ignore[index]


def test_nobody_decides_in_time_and_a_callback_afterwards_changes_nothing(workflow: Workflow, story: str) -> None:
    release = workflow.start(story).waits()
    before = workflow.engine.clock.now()
    workflow.engine.let_pass(86_399)
    untouched(release)
    workflow.engine.let_pass(10)
    assert release.ended()["error"] == "Approval.TimedOut"
    assert workflow.engine.clock.now() - before < 86_410
    assert release.history() == [
        *READ,
        *CALLED,
        PARALLEL,
        f"{SUBMITTED} TaskTimedOut TaskStateAborted",
        "Wait before the reminder: WaitStateEntered WaitStateExited",
        f"Remind: {TASK}",
        "Wait before the escalation: WaitStateEntered WaitStateExited",
        f"Escalate: {TASK}",
        "Reminded: SucceedStateEntered SucceedStateExited",
        f"Expire approval: {TASK}",
        *FAILED,
    ]
    log = [*ASKED, "nobody decided in time", "failed: Approval.TimedOut"]
    assert release.log() == log
    assert release.errors() == [f"Approval.TimedOut: Nobody decided about {story} within 86400 seconds."]
    assert "token" not in release.row()

    status, answer = workflow.callback(vote(story))
    assert (status, answer["error"]) == (410, "Expired")
    assert release.log() == log and release.row()["state"] == "EXPIRED"
    assert release.described()["status"] == "FAILED"


def test_a_wrong_bearer_is_logged_by_the_function_and_the_execution_waits_on(
    workflow: Workflow, story: str, logged: Any
) -> None:
    release = workflow.start(story).waits()
    before = release.history()
    assert workflow.callback(vote(story), authorization="Bearer wrong")[0] == 401
    assert logged()[-1:] == [{"refused": 401, "code": "Unauthorized"}]
    untouched(release)
    assert release.history() == before


def test_a_forged_signature_is_logged_by_the_function_and_the_execution_waits_on(
    workflow: Workflow, story: str, logged: Any
) -> None:
    release = workflow.start(story).waits()
    before = release.history()
    forged = hmac.new(b"guessed", json.dumps(vote(story)).encode(), hashlib.sha256).hexdigest()
    assert workflow.callback(vote(story), **{"x-hub-signature": f"sha256={forged}"})[0] == 401
    assert logged()[-1:] == [{"refused": 401, "code": "InvalidSignature"}]
    untouched(release)
    assert release.history() == before


def test_an_unknown_story_has_no_execution_and_is_logged_by_the_function(workflow: Workflow, logged: Any) -> None:
    assert workflow.callback(vote("GONE-1"))[0] == 404
    assert logged() == [{"refused": 404, "code": "UnknownStory"}]


def test_a_second_callback_changes_nothing(workflow: Workflow, story: str, logged: Any) -> None:
    release = workflow.start(story).waits()
    assert workflow.callback(vote(story))[0] == 200
    release.ended()
    assert workflow.callback(vote(story, "failure", "bob"))[0] == 409
    assert logged()[-1] == {"refused": 409, "code": "AlreadyDecided"}
    assert release.history() == APPROVED
    assert release.log() == [*ASKED, "success decided by ann", "succeeded"]
    assert [each["who"] for each in release.row()["votes"]] == ["ann"]


def test_an_api_answers_500_twice_and_then_works(workflow: Workflow, story: str) -> None:
    workflow.routes.faults["/deployment"] = [500, 500]
    release = workflow.start(story)
    workflow.engine.let_pass(10)
    assert workflow.callback(vote(release.waits().story))[0] == 200
    assert release.ended()["status"] == "SUCCEEDED"
    deployed = f"Deploy: TaskStateEntered {AGAIN} {AGAIN} TaskScheduled TaskStarted TaskSucceeded TaskStateExited"
    assert release.history() == [deployed if each.startswith("Deploy:") else each for each in APPROVED]
    assert release.log() == [*ASKED, "success decided by ann", "succeeded"]
    assert release.errors() is None


@pytest.mark.parametrize(("fault", "says"), [(0, "notification was not reached"), (503, "notification answered 503")])
def test_an_api_is_down(workflow: Workflow, story: str, fault: int, says: str) -> None:
    workflow.routes.faults["/notification"] = [fault] * 5
    release = workflow.start(story)
    workflow.engine.let_pass(60)
    assert release.ended()["error"] == "Unavailable"
    assert release.history() == [
        *READ,
        "Call APIs: ParallelStateEntered ParallelStateStarted ParallelStateFailed ParallelStateExited",
        f"Validate: {TASK}",
        f"Deploy: {TASK}",
        f"Notify: TaskStateEntered {' '.join([AGAIN] * 5)} TaskStateAborted",
        *FAILED,
    ]
    assert release.log() == [*BEGUN, "an API failed: Unavailable", "failed: Unavailable"]
    [error] = release.errors() or []
    assert error.startswith(f"Unavailable: {says}")
    assert release.result()["apis"] is None  # type: ignore[index]


def test_an_api_refuses(workflow: Workflow, story: str) -> None:
    release = workflow.start(story, environment="mars")
    assert release.ended()["error"] == "Refused"
    assert release.log() == [*BEGUN, "an API failed: Refused", "failed: Refused"]
    [error] = release.errors() or []
    assert re.match(r"Refused: deployment answered 422: .*UnknownEnvironment", error)


def test_the_object_with_the_input_is_missing(workflow: Workflow) -> None:
    release = workflow.start_with(workflow.deployed.cloud.unique("e"), {"input_key": "inputs/nowhere.json"})
    assert release.ended()["error"] == "S3.NoSuchKeyException"
    assert release.history() == [
        "Read input: TaskStateEntered TaskScheduled TaskStarted TaskFailed TaskStateExited",
        *FAILED,
    ]
    assert release.log() == ["the input could not be read: S3.NoSuchKeyException", "failed: S3.NoSuchKeyException"]
    [error] = release.errors() or []
    assert error.startswith("S3.NoSuchKeyException: The specified key does not exist.")
    assert release.result() == {
        "execution": release.name,
        "story": None,
        "status": "FAILED",
        "decision": None,
        "apis": None,
        "error": {"Error": "S3.NoSuchKeyException", "Cause": release.described()["cause"]},
    }


def test_the_input_is_not_usable(workflow: Workflow, story: str) -> None:
    release = workflow.start(story, stakeholders=[])
    assert release.ended()["error"] == "Approval.InvalidInput"
    assert release.log() == [*BEGUN, "the input was refused", "failed: Approval.InvalidInput"]
    [error] = release.errors() or []
    assert "stakeholders (lists that are not empty)" in error


def test_whoever_has_the_task_token_may_answer_without_a_callback(workflow: Workflow, story: str) -> None:
    release = workflow.start(story).waits()
    # As the console and `treadle tasks succeed` do.
    workflow.states.send_task_success(taskToken=release.row()["token"], output='{"by": "mira"}')
    assert release.ended()["status"] == "SUCCEEDED"
    assert release.log() == [*ASKED, "answered with the task token, not by a callback", "succeeded"]
    assert release.result()["decision"] == {"by": "mira"}  # type: ignore[index]
    assert workflow.callback(vote(story))[1]["error"] == "AlreadyDecided"


# ---- the holder of the claim dies


def died(workflow: Workflow, release: Release, outcome: str = "success") -> None:
    """What a callback leaves that was killed between its claim and its decision, a minute ago."""
    votes = [{"who": "ann", "outcome": outcome, "message": "fine", "when": 1}]
    decision = json.dumps({"outcome": outcome, "message": "fine", "when": 1, "votes": votes})
    claim = {"state": "CLAIMED", "lease": 1, "outcome": outcome, "decision": decision, "votes": votes}
    workflow.deployed.rows.put_item(Item=release.row() | claim)


def test_a_decision_whose_sender_died_is_sent_by_the_sweep(workflow: Workflow, story: str) -> None:
    release = workflow.start(story).waits()
    died(workflow, release)
    assert workflow.sweep() == {"sent": 1, "left": 0}
    assert release.ended()["status"] == "SUCCEEDED"
    assert release.history() == APPROVED
    assert release.log() == [*ASKED, "success decided by ann", "succeeded"]
    assert release.row()["state"] == "DONE" and "token" not in release.row()
    assert workflow.sweep() == {"sent": 0, "left": 0}


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_even_without_a_sweep_it_counts_when_the_time_is_over(workflow: Workflow, story: str, outcome: str) -> None:
    release = workflow.start(story, approval_seconds=600).waits()
    died(workflow, release, outcome)
    workflow.engine.let_pass(601)
    ended = release.ended()
    log = [*ASKED, "nobody decided in time", "a decision was written and not sent; it counts"]
    if outcome == "success":
        assert ended["status"] == "SUCCEEDED"
        assert release.log() == [*log, "succeeded"] and release.errors() is None
    else:
        assert ended["error"] == "Approval.Rejected"
        assert release.log() == [*log, "failed: Approval.Rejected"]
        assert release.errors() == ["Approval.Rejected: fine"]
    assert f"Accept decision: {TASK}" in release.history()
    assert release.result()["decision"]["votes"][0]["who"] == "ann"  # type: ignore[index]
    assert release.row()["state"] == "DONE"


# ---- redrive


@pytest.fixture
def told(workflow: Workflow) -> Iterator[Any]:
    """What the stakeholders of a story are told while the test runs."""
    sqs, sns = workflow.deployed.cloud.client("sqs"), workflow.deployed.cloud.client("sns")
    queue = sqs.create_queue(QueueName=workflow.deployed.cloud.unique("inbox"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = workflow.deployed.topic
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    def kinds(story: str) -> list[str]:
        found: list[dict[str, Any]] = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(json.loads(each["Body"])["Message"]) for each in messages]
        return [each["kind"] for each in found if each["story"] == story]

    yield kinds
    sns.unsubscribe(SubscriptionArn=subscription)


def redrive(workflow: Workflow, release: Release) -> None:
    workflow.states.redrive_execution(executionArn=release.arn)


def test_a_failed_approval_that_is_redriven_fails_again_and_repeats_nothing(
    workflow: Workflow, story: str, told: Any
) -> None:
    release = workflow.start(story).waits()
    assert workflow.callback(vote(story, "failure"))[0] == 200
    release.ended()
    row, log, result = release.row(), release.log(), release.result()
    redrive(workflow, release)
    ended = soon(lambda: (seen := release.ended()).get("redriveCount") == 1 and seen)
    assert (ended["status"], ended["error"]) == ("FAILED", "Approval.Rejected")
    # A Fail state that is redriven fails again, as on AWS.
    assert release.events()[-1]["type"] == "ExecutionFailed"
    assert [each.partition(":")[0] for each in release.history()] == [each.partition(":")[0] for each in REJECTED]
    assert (release.row(), release.log(), release.result()) == (row, log, result)
    assert workflow.deployed.rows_of(story) == [row]
    assert told(story) == ["request"]


def test_a_stopped_approval_that_is_redriven_waits_in_the_same_row_with_another_token(
    workflow: Workflow, story: str, told: Any
) -> None:
    release = workflow.start(story, approvers=["ann", "bob"], quorum=2).waits()
    assert workflow.callback(vote(story))[1]["state"] == "PENDING"
    before = release.row()
    workflow.states.stop_execution(executionArn=release.arn)
    assert release.ended()["status"] == "ABORTED"
    redrive(workflow, release)
    soon(lambda: release.row()["token"] != before["token"])
    release.waits()
    assert [each["who"] for each in release.row()["votes"]] == ["ann"]
    assert workflow.callback(vote(story))[1]["error"] == "AlreadyVoted"
    status, answer = workflow.callback(vote(story, who="bob"))
    assert (status, answer["execution"], answer["outcome"]) == (200, release.name, "success")
    assert release.ended()["status"] == "SUCCEEDED"
    assert release.log() == [*ASKED, "success decided by ann, bob", "succeeded"]
    assert len(workflow.deployed.rows_of(story)) == 1
    assert told(story) == ["request"]


def test_an_approval_that_was_given_up_is_opened_again_by_a_redrive(workflow: Workflow, story: str) -> None:
    release = workflow.start(story).waits()
    workflow.states.stop_execution(executionArn=release.arn)
    release.ended()
    assert workflow.callback(vote(story))[0] == 410
    assert release.row()["state"] == "EXPIRED"
    redrive(workflow, release)
    soon(lambda: release.row()["state"] == "PENDING" and "token" in release.row())
    release.waits()
    assert workflow.callback(vote(story, who="bob"))[0] == 200
    assert release.ended()["status"] == "SUCCEEDED"
    assert release.log() == [*ASKED, "success decided by bob", "succeeded"]
    assert any(each.startswith("Reopen: TaskStateEntered") for each in release.history())


def test_a_decision_left_by_a_dead_sender_is_sent_to_the_redriven_execution(workflow: Workflow, story: str) -> None:
    release = workflow.start(story).waits()
    died(workflow, release)
    before = release.row()["token"]
    workflow.states.stop_execution(executionArn=release.arn)
    release.ended()
    redrive(workflow, release)
    soon(lambda: release.row()["token"] != before)
    release.waits()
    assert workflow.sweep() == {"sent": 1, "left": 0}
    assert release.ended()["status"] == "SUCCEEDED"


def test_a_result_that_could_not_be_written_is_written_by_a_redrive(workflow: Workflow, story: str, told: Any) -> None:
    release = workflow.start(story).waits()
    with workflow.without_bucket():
        assert workflow.callback(vote(story))[0] == 200
        workflow.engine.let_pass(70)
        assert release.ended()["error"] == "S3.NoSuchBucketException"
    redrive(workflow, release)
    assert soon(lambda: (seen := release.ended()).get("redriveCount") == 1 and seen)["status"] == "SUCCEEDED"
    assert release.log() == [*ASKED, "success decided by ann", "succeeded"]
    assert release.result()["decision"]["outcome"] == "success"  # type: ignore[index]
    assert told(story) == ["request"]


def test_a_notification_whose_answer_was_lost_is_repeated_and_told_once(
    workflow: Workflow, story: str, told: Any
) -> None:
    workflow.routes.lost["/notification"] = 1
    release = workflow.start(story)
    workflow.engine.let_pass(10)
    release.waits()
    notify = next(each for each in release.history() if each.startswith("Notify:"))
    assert notify.count("TaskFailed") == 1
    assert workflow.callback(vote(story))[0] == 200
    release.ended()
    assert release.result()["apis"]["notification"]["duplicate"] is True  # type: ignore[index]
    assert told(story) == ["request"]
