"""Every operation of the service's model: it succeeds, it fails with each of its errors, it gives pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from api_operations import BEYOND, FAILS_WITH, LIMITS, NEVER, NO_KEYS, PAGED, SUCCEEDS, WORKERS, FullScene, Scene
from api_serving import Served
from botocore import xform_name
from botocore.exceptions import ClientError

MODEL = botocore.session.get_session().get_service_model("stepfunctions")
OPERATIONS = {name: MODEL.operation_model(name) for name in MODEL.operation_names}
STATUS = {"ConflictException": 409, "ServiceQuotaExceededException": 402}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    served = Served(tmp_path_factory.mktemp("scene"), "--no-cloud")
    yield Scene(served, served.client(parameter_validation=False))
    assert served.stop() == 0


@pytest.fixture(scope="module")
def full_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    options = [option for each in (*LIMITS, WORKERS) for option in ("--quota", each)]
    served = Served(tmp_path_factory.mktemp("full"), "--no-cloud", *options)
    scene = FullScene(served, served.client(parameter_validation=False))
    assert scene.machine and scene.activity
    yield scene
    assert served.stop() == 0


def asked(scene: Scene, operation: str, **changes: Any) -> dict[str, Any]:
    """The answer to the request that succeeds, with some changes."""
    given = scene.resolve({**SUCCEEDS[operation], **changes})
    answer = getattr(scene.client, xform_name(operation))(**given)
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_each_operation_and_each_of_its_errors_has_a_case_or_a_reason_why_it_does_not_happen() -> None:
    errors = {(name, shape.name) for name, each in OPERATIONS.items() for shape in each.error_shapes}
    wanted = {(name, error) for name, error in errors if not error.startswith(NO_KEYS)}
    assert set(SUCCEEDS) == set(OPERATIONS)
    assert [*FAILS_WITH, *BEYOND, *NEVER] == list(dict.fromkeys([*FAILS_WITH, *BEYOND, *NEVER]))
    assert {*FAILS_WITH, *BEYOND, *NEVER} == wanted


def test_each_operation_that_gives_pages_has_a_case() -> None:
    outputs = {name: each.output_shape for name, each in OPERATIONS.items()}
    assert set(PAGED) == {name for name, shape in outputs.items() if shape and "nextToken" in shape.members}


@pytest.mark.parametrize("operation", SUCCEEDS)
def test_a_good_request_succeeds_with_an_answer_of_the_model(scene: Scene, operation: str) -> None:
    asked(scene, operation)


@pytest.mark.parametrize(("operation", "code"), FAILS_WITH)
def test_a_bad_request_gets_its_error(scene: Scene, operation: str, code: str) -> None:
    check_refusal(scene, operation, code, FAILS_WITH[operation, code])


@pytest.mark.parametrize(("operation", "code"), BEYOND)
def test_what_is_beyond_a_quota_gets_its_error(full_scene: Scene, operation: str, code: str) -> None:
    check_refusal(full_scene, operation, code, BEYOND[operation, code])


def check_refusal(scene: Scene, operation: str, code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as raised:
        asked(scene, operation, **changes)
    response: Any = raised.value.response
    told = response["Error"]
    assert (told["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, STATUS.get(code, 400)), told
    assert told["Message"]


@pytest.mark.parametrize("operation", PAGED)
def test_pages_have_together_what_one_page_has(scene: Scene, operation: str) -> None:
    given, results, least = PAGED[operation]
    assert scene.machine and scene.activity and scene.succeeded and scene.express
    given = scene.resolve(given)
    call = getattr(scene.client, xform_name(operation))
    every = call(**given, maxResults=1000)
    assert len(every[results]) >= least
    assert "nextToken" not in every
    found: list[Any] = []
    more: dict[str, Any] = {}
    while True:
        page = call(**given, maxResults=2, **more)
        assert len(page[results]) in (1, 2)
        found += page[results]
        if "nextToken" not in page:
            break
        more = {"nextToken": page["nextToken"]}
    assert found == every[results]
    if scene.client.can_paginate(xform_name(operation)):
        pages = scene.client.get_paginator(xform_name(operation)).paginate(**given, PaginationConfig={"PageSize": 3})
        assert [each for page in pages for each in page[results]] == found


@pytest.mark.parametrize("operation", PAGED)
def test_a_page_has_a_thousand_results_at_the_most(scene: Scene, operation: str) -> None:
    check_refusal(scene, operation, "ValidationException", {"maxResults": 1001})
