"""Jobs that `.sync` starts: how each kind is asked after, how it ends, how it is stopped; and the waiting.

AWS hears of the end from EventBridge and asks besides; here a job is only asked after, soon at first and then less and
less often. A job that cannot be asked after for a while (the network, throttling) is still running as far as anybody
knows, so that never fails its task.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from treadle.errors import StatesError
from treadle.integrations.aws.connectors import In, Made, Out, Request, at, made
from treadle.integrations.aws.failures import Passing
from treadle.language.scope import Json
from treadle.language.values import is_array
from treadle.machine.journal import json_text
from treadle.runtime.ports import Clock

Verdict: TypeAlias = Callable[[Json], bool | None]
"""By what a service tells of a job: whether it ended well; None while it runs."""

FIRST_SECONDS: Final = 0.5
GROWTH: Final = 1.5
LONGEST_SECONDS: Final = 20.0
_JITTER: Final = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of job.

    `describe` asks after it. `shown` is what becomes the task's output: a path in what is told, or an object made of
    what is told (In) and of the answer to the request (Out). `gone` says that the job removes something, and has ended
    well when that is not found any more. `stop` ends it when nobody waits for it; None where AWS has nothing for that.
    `named` says that a job of the same name is refused, so one that is there when the call is made again is ours.
    """

    describe: str
    parameters: Mapping[str, Made]
    verdict: Verdict
    shown: str | Mapping[str, Made] = ""
    gone: bool = False
    stop: Request | None = None
    named: bool = False

    def output(self, told: Json, answer: Json) -> Json:
        """What the task gives of what is told."""
        return at(told, self.shown) if isinstance(self.shown, str) else made(self.shown, told, answer)


def _states(path: str, well: str, badly: str = "") -> Verdict:
    verdicts = {**dict.fromkeys(badly.split(), False), **dict.fromkeys(well.split(), True)}
    return lambda told: verdicts.get(str(at(told, path)))


def _task_ended(told: Json) -> bool | None:
    """AWS 'Amazon ECS': a stopped task has failed where it never ran or a container left with an error."""
    if at(told, "Tasks.0.LastStatus") != "STOPPED":
        return None
    containers = at(told, "Tasks.0.Containers")
    codes = [at(each, "ExitCode") for each in containers] if is_array(containers) else []
    return at(told, "Tasks.0.StopCode") != "TaskFailedToStart" and not any(codes)


_STOPPED: Final = "Stopped by AWS Step Functions"


def _batch() -> Job:
    stop = Request("TerminateJob", {"JobId": Out("JobId"), "Reason": _STOPPED})
    return Job(
        "DescribeJobs", {"Jobs": [Out("JobId")]}, _states("Jobs.0.Status", "SUCCEEDED", "FAILED"), "Jobs.0", stop=stop
    )


def _ecs() -> Job:
    task: dict[str, Made] = {"Cluster": In("Cluster")}
    return Job(
        "DescribeTasks",
        {**task, "Tasks": [Out("Tasks.0.TaskArn")]},
        _task_ended,
        "Tasks.0",
        stop=Request("StopTask", {**task, "Task": Out("Tasks.0.TaskArn"), "Reason": _STOPPED}),
    )


def _glue() -> Job:
    job: dict[str, Made] = {"JobName": In("JobName")}
    return Job(
        "GetJobRun",
        {**job, "RunId": Out("JobRunId")},
        _states("JobRun.JobRunState", "SUCCEEDED", "FAILED TIMEOUT STOPPED ERROR EXPIRED"),
        "JobRun",
        stop=Request("BatchStopJobRun", {**job, "JobRunIds": [Out("JobRunId")]}),
    )


def _databrew() -> Job:
    run: dict[str, Made] = {"Name": In("Name"), "RunId": Out("RunId")}
    verdict = _states("State", "SUCCEEDED", "FAILED STOPPED TIMEOUT")
    return Job("DescribeJobRun", run, verdict, stop=Request("StopJobRun", run))


def _athena() -> Job:
    query: dict[str, Made] = {"QueryExecutionId": Out("QueryExecutionId")}
    verdict = _states("QueryExecution.Status.State", "SUCCEEDED", "FAILED CANCELLED")
    return Job("GetQueryExecution", query, verdict, stop=Request("StopQueryExecution", query))


def _codebuild(kind: str, plural: str) -> Job:
    id = Out(f"{kind}.Id")
    return Job(
        f"BatchGet{plural}",
        {"Ids": [id]},
        _states(f"{plural}.0.{kind}Status", "SUCCEEDED", "FAILED FAULT TIMED_OUT STOPPED"),
        {kind: In(f"{plural}.0")},
        stop=Request(f"Stop{kind}", {"Id": id}),
    )


def _sagemaker(kind: str) -> Job:
    name: dict[str, Made] = {f"{kind}Name": In(f"{kind}Name")}
    verdict = _states(f"{kind}Status", "Completed", "Failed Stopped")
    return Job(f"Describe{kind}", name, verdict, stop=Request(f"Stop{kind}", name), named=True)


def _eks(kind: str, names: Mapping[str, Made], *, gone: bool = False) -> Job:
    verdict = _states(f"{kind}.Status", "" if gone else "ACTIVE", "FAILED CREATE_FAILED DELETE_FAILED")
    return Job(f"Describe{kind}", names, verdict, gone=gone)


_EKS: Final[Mapping[str, Mapping[str, Made]]] = {
    "Cluster": {"Name": In("Name")},
    "Nodegroup": {"ClusterName": In("ClusterName"), "NodegroupName": In("NodegroupName")},
    "FargateProfile": {"ClusterName": In("ClusterName"), "FargateProfileName": In("FargateProfileName")},
}


def _cluster(id: Made, well: str, badly: str, shown: str | Mapping[str, Made] = "", stop: bool = False) -> Job:
    return Job(
        "DescribeCluster",
        {"ClusterId": id},
        _states("Cluster.Status.State", well, badly),
        shown,
        stop=Request("TerminateJobFlows", {"JobFlowIds": [id]}) if stop else None,
    )


def _step() -> Job:
    step: dict[str, Made] = {"ClusterId": In("ClusterId")}
    return Job(
        "DescribeStep",
        {**step, "StepId": Out("StepId")},
        _states("Step.Status.State", "COMPLETED", "FAILED CANCELLED INTERRUPTED"),
        stop=Request("CancelSteps", {**step, "StepIds": [Out("StepId")]}),
    )


def _container_job() -> Job:
    run: dict[str, Made] = {"Id": Out("Id"), "VirtualClusterId": In("VirtualClusterId")}
    verdict = _states("JobRun.State", "COMPLETED", "FAILED CANCELLED")
    return Job("DescribeJobRun", run, verdict, stop=Request("CancelJobRun", run))


def _application(well: str, id: Made | None = None) -> Job:
    badly = "" if well == "TERMINATED" else "TERMINATED"
    verdict = _states("Application.State", well, badly)
    return Job("GetApplication", {"ApplicationId": id or In("ApplicationId")}, verdict, gone=well == "TERMINATED")


def _serverless_run(id: Made, well: str, badly: str, stop: bool) -> Job:
    run: dict[str, Made] = {"ApplicationId": In("ApplicationId"), "JobRunId": id}
    request = Request("CancelJobRun", run) if stop else None
    return Job("GetJobRun", run, _states("JobRun.State", well, badly), stop=request)


def _mediaconvert() -> Job:
    job: dict[str, Made] = {"Id": Out("Job.Id")}
    verdict = _states("Job.Status", "COMPLETE", "ERROR CANCELED")
    return Job("GetJob", job, verdict, stop=Request("CancelJob", job))


def _customization() -> Job:
    job: dict[str, Made] = {"JobIdentifier": Out("JobArn")}
    verdict = _states("Status", "Completed", "Failed Stopped")
    return Job("GetModelCustomizationJob", job, verdict, stop=Request("StopModelCustomizationJob", job))


JOBS: Final[Mapping[str, Job]] = {
    "athena:startQueryExecution": _athena(),
    "batch:submitJob": _batch(),
    "bedrock:createModelCustomizationJob": _customization(),
    "codebuild:startBuild": _codebuild("Build", "Builds"),
    "codebuild:startBuildBatch": _codebuild("BuildBatch", "BuildBatches"),
    "codebuild:retryBuildBatch": _codebuild("BuildBatch", "BuildBatches"),
    "databrew:startJobRun": _databrew(),
    "ecs:runTask": _ecs(),
    **{f"eks:create{kind}": _eks(kind, names) for kind, names in _EKS.items()},
    **{f"eks:delete{kind}": _eks(kind, names, gone=True) for kind, names in _EKS.items()},
    "elasticmapreduce:createCluster": _cluster(
        Out("ClusterId"),
        "RUNNING WAITING TERMINATED",
        "TERMINATED_WITH_ERRORS",
        {"ClusterArn": Out("ClusterArn"), "ClusterId": Out("ClusterId")},
        stop=True,
    ),
    "elasticmapreduce:terminateCluster": _cluster(In("ClusterId"), "TERMINATED TERMINATED_WITH_ERRORS", ""),
    "elasticmapreduce:addStep": _step(),
    "emr-containers:deleteVirtualCluster": Job(
        "DescribeVirtualCluster",
        {"Id": Out("Id")},
        _states("VirtualCluster.State", "TERMINATED", "ARRESTED"),
        gone=True,
    ),
    "emr-containers:startJobRun": _container_job(),
    "emr-serverless:createApplication": _application("CREATED STARTED", Out("ApplicationId")),
    "emr-serverless:startApplication": _application("STARTED"),
    "emr-serverless:stopApplication": _application("STOPPED"),
    "emr-serverless:deleteApplication": _application("TERMINATED"),
    "emr-serverless:startJobRun": _serverless_run(Out("JobRunId"), "SUCCESS", "FAILED CANCELLED", stop=True),
    "emr-serverless:cancelJobRun": _serverless_run(In("JobRunId"), "CANCELLED SUCCESS FAILED", "", stop=False),
    "glue:startJobRun": _glue(),
    "mediaconvert:createJob": _mediaconvert(),
    **{
        f"sagemaker:create{kind}": _sagemaker(kind)
        for kind in ("TrainingJob", "TransformJob", "HyperParameterTuningJob", "LabelingJob", "ProcessingJob")
    },
}


async def wait(job: Job, describe: Callable[[], Awaitable[Json]], answer: Json, clock: Clock, seed: str) -> Json:
    """Ask after a job until it ends; gives the task's output. Raises StatesError States.TaskFailed with all that is
    told of a job that failed, and whatever the asking itself fails with for good."""
    chance = random.Random(seed)
    pause, told = FIRST_SECONDS, answer
    while True:
        try:
            with clock.busy():
                told = await describe()
        except Passing:
            pass  # asked again below
        except StatesError as error:
            if job.gone and error.name is not None and error.name.endswith("NotFoundException"):
                return job.output(told, answer)
            raise
        else:
            verdict = job.verdict(told)
            if verdict is True:
                return job.output(told, answer)
            if verdict is False:
                # AWS 'Run a Job': the error is always this, and the cause is what is told of the job.
                raise StatesError("States.TaskFailed", json_text(job.output(told, answer)))
        await clock.sleep_until(clock.now() + pause * chance.uniform(1 - _JITTER, 1 + _JITTER))
        pause = min(pause * GROWTH, LONGEST_SECONDS)
