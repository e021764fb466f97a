"""What a vote does to an approval. Pure: neither table, clock nor network.

Owns the states of an approval and who wins. PENDING -> CLAIMED -> DONE; PENDING -> EXPIRED. The vote that decides
claims the approval in the same write, so votes and decision cannot disagree. A claim is a lease: if its holder dies
before the workflow took the decision, whoever comes after the lease sends the same decision again. Neighbours:
`callback`, `sweep`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from web import Refusal

LEASE_SECONDS = 60
"""Longer than a function may run: whoever takes a claim over can be sure that its holder is gone."""
LONGEST_DECISION = 30_000
"""A decision travels as the cause of a failure, which may have 32,768 characters."""

Outcome = Literal["success", "failure"]


@dataclass(frozen=True)
class Vote:
    """Who says what, when (seconds since 1970) and why. `delivery` is the same for each retry of one webhook."""

    who: str
    outcome: Outcome
    message: str
    when: int
    delivery: str | None


@dataclass(frozen=True)
class Duplicate:
    """The delivery has been taken before: nothing is to be done."""


@dataclass(frozen=True)
class Write:
    """The attributes that change. With a `decision`, as JSON, the writer holds the claim and must send it.

    `again`: somebody who held the claim before may have sent it.
    """

    changes: Mapping[str, Any]
    decision: str | None
    again: bool = False


def take(row: Mapping[str, Any], vote: Vote) -> Duplicate | Write:
    """What becomes of a row by a vote. Raises Refusal where the vote comes too late or is nobody's to give."""
    known = vote.delivery is not None and vote.delivery in row.get("deliveries", [])
    match row["state"]:
        case "PENDING":
            return Duplicate() if known else _count(row, vote)
        case "CLAIMED":
            taken = take_over(row, vote.when)
            if taken is not None:
                return taken
            raise Refusal(409, "BeingDecided", "Somebody else's decision is on its way.", retry_after=LEASE_SECONDS)
        case "DONE" if known:
            return Duplicate()
        case "DONE":
            raise Refusal(409, "AlreadyDecided", "The approval has been decided.", outcome=row.get("outcome"))
        case _:
            raise Refusal(410, "Expired", "The approval was not given in time; the workflow has gone on without it.")


def take_over(row: Mapping[str, Any], now: int) -> Write | None:
    """The claim of a holder that is gone; None where there is none."""
    if row["state"] != "CLAIMED" or row.get("lease", 0) >= now:
        return None
    return Write({"lease": now + LEASE_SECONDS}, row["decision"], again=True)


def _count(row: Mapping[str, Any], vote: Vote) -> Write:
    if row["due"] < vote.when:
        raise Refusal(410, "Expired", "The approval was not given in time.")
    approvers: Sequence[str] = row.get("approvers", [])
    if approvers and vote.who not in approvers:
        raise Refusal(403, "NotAnApprover", f"{vote.who} is not among the approvers of this story.")
    cast: list[Mapping[str, Any]] = list(row.get("votes", []))
    if any(each["who"] == vote.who for each in cast):
        raise Refusal(409, "AlreadyVoted", f"{vote.who} has voted already.")
    votes = [*cast, {"who": vote.who, "outcome": vote.outcome, "message": vote.message, "when": vote.when}]
    changes: dict[str, Any] = {"votes": votes}
    if vote.delivery is not None:
        changes["deliveries"] = [*row.get("deliveries", []), vote.delivery]
    outcome = outcome_of(votes, int(row["quorum"]), len(approvers))
    if outcome is None:
        return Write(changes, None)
    decision = _decision(outcome, vote, votes)
    claim = {"state": "CLAIMED", "lease": vote.when + LEASE_SECONDS, "outcome": outcome, "decision": decision}
    return Write(changes | claim, decision)


def _decision(outcome: Outcome, vote: Vote, votes: Sequence[Mapping[str, Any]]) -> str:
    """What the workflow is told: a text, so that it can read it in the row where the writer dies."""
    told = {"outcome": outcome, "message": vote.message, "when": vote.when, "votes": votes}
    text = json.dumps(told, default=int, ensure_ascii=False)
    if len(text) <= LONGEST_DECISION:
        return text
    # What everybody said stays in the row.
    brief = [{name: each[name] for name in ("who", "outcome", "when")} for each in votes]
    return json.dumps(told | {"votes": brief}, default=int, ensure_ascii=False)


def outcome_of(votes: Sequence[Mapping[str, Any]], quorum: int, approvers: int) -> Outcome | None:
    """What votes come to: success with a quorum for it, failure once no quorum can come any more, else nothing yet.

    Without a list of approvers one refusal is enough.
    """
    agreed = sum(each["outcome"] == "success" for each in votes)
    if agreed >= quorum:
        return "success"
    refused = len(votes) - agreed
    return "failure" if refused > max(approvers - quorum, 0) else None
