"""What a vote does to an approval. Pure: neither table, clock nor network.

Owns the states of an approval and who wins. PENDING -> CLAIMED -> DONE; PENDING -> EXPIRED. The vote that decides
claims the approval in the same write, so votes and decision cannot disagree. A claim is a
lease: if its holder dies before the workflow took the decision, whoever comes after the lease sends the same decision
again. Neighbour: `callback`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from web import Refusal

LEASE_SECONDS = 60

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
    """The attributes that change. With a `decision` the writer holds the claim and must send it."""

    changes: Mapping[str, Any]
    decision: Mapping[str, Any] | None


def take(row: Mapping[str, Any], vote: Vote) -> Duplicate | Write:
    """What becomes of a row by a vote. Raises Refusal where the vote comes too late or is nobody's to give."""
    known = vote.delivery is not None and vote.delivery in row.get("deliveries", [])
    match row["state"]:
        case "PENDING":
            return Duplicate() if known else _count(row, vote)
        case "CLAIMED" if row.get("lease", 0) >= vote.when:
            raise Refusal(409, "BeingDecided", "Somebody else's decision is on its way.", retry_after=LEASE_SECONDS)
        case "CLAIMED":
            return Write({"lease": vote.when + LEASE_SECONDS}, json.loads(row["decision"]))
        case "DONE" if known:
            return Duplicate()
        case "DONE":
            raise Refusal(409, "AlreadyDecided", "The approval has been decided.", outcome=row.get("outcome"))
        case _:
            raise Refusal(410, "Expired", "The approval was not given in time; the workflow has gone on without it.")


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
    decision = {"outcome": outcome, "message": vote.message, "when": vote.when, "votes": votes}
    # The decision is a text, so that the workflow can read it where the writer dies before it could send it.
    claim = {
        "state": "CLAIMED",
        "lease": vote.when + LEASE_SECONDS,
        "outcome": outcome,
        "decision": json.dumps(decision, default=int),
    }
    return Write(changes | claim, decision)


def outcome_of(votes: Sequence[Mapping[str, Any]], quorum: int, approvers: int) -> Outcome | None:
    """What votes come to: success with a quorum for it, failure once no quorum can come any more, else nothing yet.

    Without a list of approvers one refusal is enough.
    """
    agreed = sum(each["outcome"] == "success" for each in votes)
    if agreed >= quorum:
        return "success"
    refused = len(votes) - agreed
    return "failure" if refused > max(approvers - quorum, 0) else None
