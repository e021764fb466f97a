"""The callback endpoint: who is let in, what a vote does, and that of racing callbacks one wins."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from approval_functions import FUNCTIONS, Deployed, answered, event

ROUNDS = 100 if os.environ.get("TREADLE_DEEP") else 20


def rule(story: str, status: str = "success", who: str = "ann", **more: Any) -> dict[str, Any]:
    return {"story": story, "status": status, "message": "fine", "approver": who, **more}


def webhook(story: str, to: str = "Done", who: str = "557058:ann") -> dict[str, Any]:
    change = {"field": "status", "fieldId": "status", "fromString": "In Review", "toString": to}
    return {
        "timestamp": int(time.time() * 1000),
        "webhookEvent": "jira:issue_updated",
        "user": {"accountId": who, "displayName": "Ann"},
        "issue": {"id": "1", "key": story},
        "changelog": {"id": "2", "items": [{"field": "labels", "toString": "x"}, change]},
    }


def hexadecimal(key: str, message: bytes) -> str:
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


class Jira:
    """Sends what Jira sends."""

    def __init__(self, deployed: Deployed, functions: SimpleNamespace) -> None:
        self.deployed, self.functions = deployed, functions

    def rule(self, *words: Any, token: str | None = None, key: str | None = None, **more: Any) -> Any:
        given = token or self.deployed.tokens["callback"]
        headers = {"Authorization": f"Bearer {given}"} | ({"Idempotency-Key": key} if key else {})
        return answered(self.functions.callback(event(rule(*words, **more), headers), None))

    def sweep(self) -> dict[str, int]:
        """What the schedule does every minute."""
        return self.functions.sweep({}, SimpleNamespace(get_remaining_time_in_millis=lambda: 50_000))

    def webhook(self, body: dict[str, Any], delivery: str = "d-1", key: str | None = None) -> Any:
        text = json.dumps(body)
        digest = hexadecimal(key or self.deployed.tokens["callback"], text.encode())
        headers = {"X-Hub-Signature": f"sha256={digest}", "X-Atlassian-Webhook-Identifier": delivery}
        return answered(self.functions.callback(event(text, headers), None))


@pytest.fixture
def jira(deployed: Deployed, functions: SimpleNamespace) -> Jira:
    deployed.tokens["callback"] = deployed.rotate("callback")
    return Jira(deployed, functions)


@pytest.fixture
def story(deployed: Deployed) -> str:
    """A story that waits, of this test alone."""
    key = f"PROJ-{time.time_ns() % 10**10}"
    deployed.wait(key)
    return key


def test_a_rule_of_jira_resumes_the_workflow(jira: Jira, story: str, deployed: Deployed, decisions: Any) -> None:
    status, answer = jira.rule(story)
    assert (status, answer["state"], answer["outcome"]) == (200, "DONE", "success")
    [(operation, sent)] = decisions.sent
    assert (operation, sent["taskToken"]) == ("SendTaskSuccess", f"token-of-{story}-e-1")
    output = json.loads(sent["output"])
    assert [(each["who"], each["outcome"], each["message"]) for each in output["votes"]] == [("ann", "success", "fine")]
    assert abs(output["when"] - time.time()) < 60
    row = deployed.row(story)
    assert row["state"] == "DONE" and "token" not in row and "lease" not in row
    assert "token" not in json.dumps(answer)


def test_a_refusal_fails_the_workflow(jira: Jira, story: str, decisions: Any) -> None:
    assert jira.rule(story, "failure")[0] == 200
    [(operation, sent)] = decisions.sent
    assert (operation, sent["error"], json.loads(sent["cause"])["outcome"]) == (
        "SendTaskFailure",
        "Approval.Rejected",
        "failure",
    )


def test_a_webhook_of_an_administrator_is_known_by_its_signature(jira: Jira, story: str, decisions: Any) -> None:
    status, answer = jira.webhook(webhook(story))
    assert (status, answer["outcome"]) == (200, "success")
    assert json.loads(decisions.sent[0][1]["output"])["votes"][0]["who"] == "557058:ann"


def test_a_webhook_that_is_sent_again_is_counted_once(jira: Jira, story: str, decisions: Any) -> None:
    assert jira.webhook(webhook(story))[0] == 200
    status, answer = jira.webhook(webhook(story))
    assert (status, answer["duplicate"]) == (200, True)
    assert jira.webhook(webhook(story), delivery="d-2")[0] == 409
    assert len(decisions.sent) == 1


@pytest.mark.parametrize("to", ["In Progress", "In Review"])
def test_a_change_that_decides_nothing_is_ignored(jira: Jira, story: str, decisions: Any, to: str) -> None:
    status, answer = jira.webhook(webhook(story, to))
    assert status == 200 and "ignored" in answer and decisions.sent == []


def test_a_forged_signature_is_refused(jira: Jira, story: str, decisions: Any, deployed: Deployed) -> None:
    assert jira.webhook(webhook(story), key="wrong")[0] == 401
    right = hexadecimal(deployed.tokens["callback"], json.dumps(webhook("PROJ-1")).encode())
    headers = {"x-hub-signature": f"sha256={right}"}
    status, answer = answered(jira.functions.callback(event(webhook(story), headers), None))
    assert (status, answer["error"]) == (401, "InvalidSignature")
    both = {**headers, "authorization": f"Bearer {deployed.tokens['callback']}"}
    assert jira.functions.callback(event(webhook(story), both), None)["statusCode"] == 401
    assert decisions.sent == [] and deployed.row(story)["state"] == "PENDING"


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic x"}, {"authorization": "Bearer é"}]
)
def test_a_wrong_bearer_is_refused(jira: Jira, story: str, decisions: Any, headers: dict[str, str]) -> None:
    result = jira.functions.callback(event(rule(story), headers), None)
    assert result["statusCode"] == 401 and result["headers"]["www-authenticate"] == "Bearer"
    assert decisions.sent == []


def test_a_sender_that_signs_with_time_and_nonce_is_taken_once(jira: Jira, story: str, deployed: Deployed) -> None:
    def send(at: int, nonce: str) -> Any:
        text = json.dumps(rule(story))
        digest = hexadecimal(deployed.tokens["callback"], f"{at}.{nonce}.{text}".encode())
        headers = {"x-approval-signature": f"t={at},n={nonce},v1={digest}"}
        return answered(jira.functions.callback(event(text, headers), None))

    nonce = f"nonce-{story}-0123456789"
    assert send(int(time.time()) - 400, nonce)[1]["error"] == "StaleSignature"
    assert send(int(time.time()), nonce)[0] == 200
    assert send(int(time.time()), nonce)[1]["error"] == "Replayed"
    assert send(int(time.time()), "short")[1]["error"] == "InvalidSignature"


def test_a_rotated_token_is_valid_at_once_and_the_one_before_still_is(
    jira: Jira, deployed: Deployed, story: str
) -> None:
    before = deployed.tokens["callback"]
    assert jira.rule("PROJ-404", token=before)[0] == 404
    secret = jira.functions.load("callback")._secret
    now = deployed.rotate("callback")
    secret._read_at -= 6
    assert jira.rule("PROJ-404", token=now)[0] == 404
    assert jira.rule("PROJ-404", token=before)[0] == 404
    deployed.tokens["callback"] = deployed.rotate("callback")
    secret._read_at -= 61
    assert jira.rule("PROJ-404", token=before)[0] == 401
    assert jira.rule(story, token=deployed.tokens["callback"])[0] == 200


def test_nobody_waits_for_an_unknown_story(jira: Jira) -> None:
    status, answer = jira.rule("PROJ-404")
    assert (status, answer["error"]) == (404, "UnknownStory")


def test_a_second_callback_learns_how_it_was_decided(jira: Jira, story: str, decisions: Any) -> None:
    jira.rule(story)
    status, answer = jira.rule(story, "failure", "bob")
    assert (status, answer["error"], answer["outcome"]) == (409, "AlreadyDecided", "success")
    assert len(decisions.sent) == 1


def test_a_callback_after_the_time_is_too_late(jira: Jira, story: str, deployed: Deployed, decisions: Any) -> None:
    deployed.change(story, due=1)
    assert jira.rule(story)[0] == 410
    deployed.change(story, due=2**40)
    decisions.errors = ["TaskTimedOut"]
    assert jira.rule(story)[1]["error"] == "Expired"
    assert deployed.row(story)["state"] == "EXPIRED"
    assert jira.rule(story)[0] == 410


def test_several_that_wait_for_one_story_must_be_named(jira: Jira, story: str, deployed: Deployed) -> None:
    deployed.wait(story, "e-2")
    status, answer = jira.rule(story)
    assert (status, answer["executions"]) == (409, ["e-1", "e-2"])
    assert jira.rule(story, execution="e-2")[1]["execution"] == "e-2"
    assert deployed.row(story)["state"] == "PENDING"
    assert jira.rule(story, execution="e-3")[0] == 404


def test_a_quorum_decides(jira: Jira, story: str, deployed: Deployed, decisions: Any) -> None:
    deployed.change(story, approvers=["ann", "bob", "eve"], quorum=2)
    assert jira.rule(story, "success", "mallory")[0] == 403
    assert jira.rule(story)[1] | {"execution": ""} == {
        "story": story, "execution": "", "state": "PENDING", "agreed": 1, "quorum": 2, "outcome": None,
    }  # fmt: skip
    assert jira.rule(story)[1]["error"] == "AlreadyVoted"
    assert jira.rule(story, "failure", "bob")[1]["outcome"] is None
    assert decisions.sent == []
    assert jira.rule(story, "success", "eve")[1]["outcome"] == "success"
    assert [each["who"] for each in json.loads(decisions.sent[0][1]["output"])["votes"]] == ["ann", "bob", "eve"]


def test_refusals_fail_it_once_no_quorum_can_come(jira: Jira, story: str, deployed: Deployed, decisions: Any) -> None:
    deployed.change(story, approvers=["ann", "bob", "eve"], quorum=2)
    assert jira.rule(story, "failure")[1]["outcome"] is None
    assert jira.rule(story, "failure", "bob")[1]["outcome"] == "failure"
    assert decisions.sent[0][0] == "SendTaskFailure"


def test_a_decision_that_could_not_be_sent_is_sent_by_the_retry(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    decisions.errors = ["AccessDeniedException"]
    status, answer = jira.webhook(webhook(story))
    assert (status, answer["retry_after"]) == (503, 5)
    assert deployed.row(story)["token"]
    assert jira.webhook(webhook(story))[1]["state"] == "DONE"
    assert len(decisions.sent) == 1


def test_a_claim_whose_holder_died_is_taken_over_after_its_lease(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    decided = json.dumps({"outcome": "success", "message": "by the dead", "when": 1, "votes": []})
    deployed.change(story, state="CLAIMED", outcome="success", decision=decided, lease=2**40)
    assert jira.rule(story, "failure")[1]["error"] == "BeingDecided"
    deployed.change(story, lease=1)
    assert jira.rule(story, "failure")[1]["outcome"] == "success"
    assert json.loads(decisions.sent[0][1]["output"])["message"] == "by the dead"


def test_a_decision_that_nobody_sent_is_sent_within_the_minute(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    decisions.errors = ["AccessDeniedException"]
    assert jira.rule(story)[0] == 503
    assert jira.sweep()["sent"] == 1
    assert jira.sweep() == {"sent": 0, "left": 0}
    [(operation, sent)] = decisions.sent
    assert (operation, sent["taskToken"]) == ("SendTaskSuccess", f"token-of-{story}-e-1")
    row = deployed.row(story)
    assert row["state"] == "DONE" and "token" not in row and "lease" not in row


def test_the_sweep_leaves_what_cannot_be_sent_for_the_next_minute(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    decisions.errors = ["ThrottlingException"] * 2
    assert jira.rule(story, "failure")[0] == 503
    assert jira.sweep() == {"sent": 0, "left": 1}
    assert jira.functions.sweep({}, SimpleNamespace(get_remaining_time_in_millis=lambda: 20_000))["left"] == 1
    assert jira.sweep() == {"sent": 1, "left": 0}
    assert decisions.sent[0][0] == "SendTaskFailure"


def test_the_sweep_takes_nothing_from_a_callback_at_work(jira: Jira, story: str, deployed: Deployed) -> None:
    decided = json.dumps({"outcome": "success", "message": "", "when": 1, "votes": []})
    deployed.change(story, state="CLAIMED", outcome="success", decision=decided, lease=2**40)
    assert jira.sweep() == {"sent": 0, "left": 0}


HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
import callback, json
callback.handler(json.loads(sys.stdin.read()), None)
"""


def test_a_callback_killed_while_it_sends_leaves_a_decision_that_the_sweep_sends(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = os.environ | {"AWS_ENDPOINT_URL_SFN": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        given = event(rule(story), {"Authorization": f"Bearer {deployed.tokens['callback']}"})
        command = [sys.executable, "-c", HOLDER, str(FUNCTIONS)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment) as holder:
            assert holder.stdin is not None
            holder.stdin.write(json.dumps(given))
            holder.stdin.close()
            silent.settimeout(60)
            with silent.accept()[0] as connection:
                assert connection.recv(1)
                holder.kill()
    row = deployed.row(story)
    assert (row["state"], row["outcome"], row["token"]) == ("CLAIMED", "success", f"token-of-{story}-e-1")
    assert jira.sweep() == {"sent": 0, "left": 0}
    # A minute later.
    deployed.change(story, lease=int(row["lease"]) - 61)
    assert jira.sweep() == {"sent": 1, "left": 0}
    assert json.loads(decisions.sent[0][1]["output"])["votes"][0]["who"] == "ann"
    assert jira.rule(story, "failure", "bob")[1] | {"message": ""} == {
        "error": "AlreadyDecided",
        "message": "",
        "outcome": "success",
    }


def test_a_decision_that_may_have_been_sent_before_is_never_taken_back(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    decided = json.dumps({"outcome": "success", "message": "", "when": 1, "votes": []})
    deployed.change(story, state="CLAIMED", outcome="success", decision=decided, lease=1)
    decisions.errors = ["TaskTimedOut"]
    assert jira.sweep() == {"sent": 1, "left": 0}
    assert (deployed.row(story)["state"], deployed.row(story)["decision"]) == ("DONE", decided)


def test_a_decision_that_comes_too_late_is_taken_back(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    decisions.errors = ["TaskTimedOut"]
    assert jira.rule(story)[0] == 410
    row = deployed.row(story)
    assert row["state"] == "EXPIRED" and not {"decision", "outcome", "token", "lease"} & set(row)


def test_a_late_decision_that_the_workflow_has_found_counts(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    def accept() -> None:
        row = deployed.row(story)
        assert row["state"] == "CLAIMED"
        deployed.change(story, state="DONE", version=row["version"] + 1)

    decisions.errors, decisions.before = ["TaskTimedOut"], accept
    status, answer = jira.rule(story)
    assert (status, answer["state"], answer["outcome"]) == (200, "DONE", "success")


def test_a_webhook_from_before_the_wait_decides_nothing(jira: Jira, story: str, deployed: Deployed) -> None:
    now = int(time.time())
    kept = webhook(story)
    deployed.change(story, since=now + 301)
    assert jira.webhook(kept)[1]["error"] == "BeforeTheWait"
    assert jira.webhook(kept | {"timestamp": None})[1]["error"] == "InvalidBody"
    assert deployed.row(story)["state"] == "PENDING"
    deployed.change(story, since=now + 200)
    assert jira.webhook(kept)[0] == 200


def test_what_many_voters_say_never_makes_a_decision_too_long_to_send(
    jira: Jira, story: str, deployed: Deployed, decisions: Any
) -> None:
    voters = [f"v-{number}" for number in range(25)]
    said = '"' * 2000
    votes = [{"who": who, "outcome": "success", "message": said, "when": 1} for who in voters[:24]]
    deployed.change(story, approvers=voters, quorum=25, votes=votes)
    assert jira.rule(story, "failure", "v-24")[1]["outcome"] == "failure"
    cause = decisions.sent[0][1]["cause"]
    assert len(cause) < 32_768
    assert [each["who"] for each in json.loads(cause)["votes"]] == voters
    assert len(deployed.row(story)["votes"][0]["message"]) == 2000


def test_a_comment_of_any_length_is_no_reason_to_refuse(jira: Jira, story: str, decisions: Any) -> None:
    assert jira.webhook(webhook(story) | {"comment": {"body": "x" * 30_000}})[0] == 200
    assert len(json.loads(decisions.sent[0][1]["output"])["message"]) == 2000


def test_neither_token_nor_secret_is_logged(
    jira: Jira, story: str, deployed: Deployed, decisions: Any, caplog: pytest.LogCaptureFixture
) -> None:
    decisions.errors = ["ThrottlingException"]
    jira.rule(story, token="wrong-token")
    jira.webhook(webhook(story))
    jira.sweep()
    jira.rule(story)
    assert "swept" in caplog.text and "refused" in caplog.text
    for secret in (f"token-of-{story}", deployed.tokens["callback"], "wrong-token", "fine"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "not JSON"),
        ("[]", "object"),
        ({"story": "x", "status": "success"}, "PROJ-12345"),
        ({"story": "PROJ-1", "status": "maybe"}, "status"),
        ({"story": "PROJ-1", "status": "success", "message": "x" * 2001}, "2000"),
        ({"story": "PROJ-1", "status": "success", "approver": ""}, "approver"),
        ({"story": "PROJ-1", "status": "success", "approver": "a\nsucceeded"}, "one line"),
        ({"story": "PROJ-1", "status": "success", "execution": 7}, "execution"),
    ],
)
def test_a_body_that_is_wrong_is_refused_with_the_remedy(jira: Jira, body: Any, says: str) -> None:
    headers = {"authorization": f"Bearer {jira.deployed.tokens['callback']}"}
    status, answer = answered(jira.functions.callback(event(body, headers), None))
    assert status == 400 and says in answer["message"]


def test_of_sixteen_racing_callbacks_one_wins(jira: Jira, deployed: Deployed, decisions: Any) -> None:
    with ThreadPoolExecutor(16) as pool:
        for number in range(ROUNDS):
            key = f"RACE-{time.time_ns() % 10**9}{number % 10}"
            deployed.wait(key)
            decisions.sent.clear()
            racing = [
                pool.submit(jira.rule, key, "success" if voter % 2 else "failure", f"voter-{voter}")
                for voter in range(16)
            ]
            answers = [each.result() for each in racing]
            assert sorted(status for status, _ in answers) == [200] + [409] * 15
            [(_, sent)] = decisions.sent
            row = deployed.row(key)
            assert (row["state"], len(row["votes"])) == ("DONE", 1)
            assert json.loads(sent.get("output") or sent["cause"])["votes"][0]["who"] == row["votes"][0]["who"]
