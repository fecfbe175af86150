"""Bad input to every RPC: the code, the message and the details are Temporal's.

For each RPC there is a good request. Every field that it sets is left out, and is given values that are too long, too
large, negative, of no known kind or of something that is not there; each of these requests goes to both servers.
"""

import asyncio
import copy
import re
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from support.differential import ERRORS, Side, described
from support.server import Mainspring
from temporalio.api.activity.v1 import ActivityOptions  # noqa: F401  (registers its messages)
from temporalio.api.common.v1 import (
    Header,
    Memo,
    Payload,
    Payloads,
    RetryPolicy,
    WorkflowExecution,
    WorkflowType,
)
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.errordetails.v1 import message_pb2 as _details  # noqa: F401  (so that details can be read)
from temporalio.api.filter.v1 import StartTimeFilter
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import request_response_pb2 as workflow

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Of these Mainspring has nothing yet: it answers UNIMPLEMENTED, and says so by their name.
NOT_SERVED = set(
    """
    DeprecateNamespace RespondWorkflowTaskCompleted RespondWorkflowTaskFailed ListArchivedWorkflowExecutions RespondQueryTaskCompleted ResetStickyTaskQueue
    CreateSchedule DescribeSchedule UpdateSchedule PatchSchedule ListScheduleMatchingTimes DeleteSchedule ListSchedules
    CountSchedules UpdateWorkerBuildIdCompatibility GetWorkerBuildIdCompatibility UpdateWorkerVersioningRules
    GetWorkerVersioningRules GetWorkerTaskReachability StartBatchOperation StopBatchOperation DescribeBatchOperation
    ListBatchOperations PollNexusTaskQueue RespondNexusTaskCompleted RespondNexusTaskFailed UpdateActivityOptions
    UpdateActivityExecutionOptions PauseActivity PauseActivityExecution UnpauseActivity UnpauseActivityExecution
    ResetActivity ResetActivityExecution UpdateWorkflowExecutionOptions DescribeDeployment
    DescribeWorkerDeploymentVersion DescribeWorkerDeployment ListDeployments SetCurrentDeployment
    SetWorkerDeploymentCurrentVersion SetWorkerDeploymentRampingVersion CreateWorkerDeployment ListWorkerDeployments
    CreateWorkerDeploymentVersion DeleteWorkerDeploymentVersion DeleteWorkerDeployment
    UpdateWorkerDeploymentVersionComputeConfig ValidateWorkerDeploymentVersionComputeConfig
    UpdateWorkerDeploymentVersionMetadata SetWorkerDeploymentManager GetCurrentDeployment GetDeploymentReachability
    CreateWorkflowRule DescribeWorkflowRule DeleteWorkflowRule ListWorkflowRules TriggerWorkflowRule
    RecordWorkerHeartbeat ListWorkers UpdateTaskQueueConfig FetchWorkerConfig UpdateWorkerConfig DescribeWorker
    CountWorkers PauseWorkflowExecution UnpauseWorkflowExecution StartActivityExecution DescribeActivityExecution
    PollActivityExecution ListActivityExecutions StartNexusOperationExecution DescribeNexusOperationExecution
    PollNexusOperationExecution ListNexusOperationExecutions CountActivityExecutions CountNexusOperationExecutions
    RequestCancelActivityExecution TerminateActivityExecution DeleteActivityExecution
    RequestCancelNexusOperationExecution TerminateNexusOperationExecution DeleteNexusOperationExecution
    PollWorkflowExecutionTimeSkipping AddSearchAttributes RemoveSearchAttributes DeleteNamespace
    AddOrUpdateRemoteCluster RemoveRemoteCluster GetNexusEndpoint CreateNexusEndpoint UpdateNexusEndpoint
    DeleteNexusEndpoint ListNexusEndpoints
    """.split()
)
# Namespaces of Mainspring are fixed, and workflow tasks are not handed out: docs/differences.md.
OTHERWISE = {"RegisterNamespace", "UpdateNamespace", "PollWorkflowTaskQueue", "GetSearchAttributes"}

LONG = "x" * 1001
NO_RUN = "01a20a0f-5739-74a8-ae48-eaed80251506"
LARGE = Payload(data=b"x" * (2 * 1024 * 1024 + 1))
JSON = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
ONE = Payloads(payloads=[JSON])
# Nobody polls it, so nothing happens to its workflows.
NOBODY = TaskQueue(name="nobody")
NEVER_S = 3
WAITS = "waits"
# Mainspring knows that nobody will answer a query, where Temporal waits for a worker to come.
WITHOUT_A_MODULE = "Workflow task is not scheduled yet."
STARTS = {"StartWorkflowExecution", "SignalWithStartWorkflowExecution"}
BLAMES_THE_CLIENT = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}


async def open_workflow(side: Side) -> WorkflowExecution:
    # Both sides use the same numbers, each its own counter.
    side.used = getattr(side, "used", 0) + 1
    workflow_id = f"{side.case} {side.used}"
    await side.client.start_workflow("Gate", id=workflow_id, task_queue="nobody")
    return WorkflowExecution(workflow_id=workflow_id)


async def parked_activity(side: Side):
    side.used = getattr(side, "used", 0) + 1
    workflow_id = f"{side.case} {side.used}"
    args = ["park", {"start_to_close_ms": 60_000, "activity_id": "the one"}]
    await side.client.start_workflow("ActivityWithOptions", args=args, id=workflow_id, task_queue=side.queue)
    return await side.activities.parked(workflow_id)


def start_request(side: Side, **changes) -> workflow.StartWorkflowExecutionRequest:
    side.used = getattr(side, "used", 0) + 1
    values = dict(
        namespace="default",
        workflow_id=f"{side.case} {side.used}",
        workflow_type=WorkflowType(name="Gate"),
        task_queue=NOBODY,
        request_id="request",
        identity="somebody",
        input=ONE,
        workflow_execution_timeout=Duration(seconds=30),
        workflow_run_timeout=Duration(seconds=20),
        workflow_task_timeout=Duration(seconds=10),
        workflow_start_delay=Duration(seconds=10),
        workflow_id_reuse_policy=1,
        workflow_id_conflict_policy=1,
        retry_policy=RetryPolicy(
            initial_interval=Duration(seconds=1),
            backoff_coefficient=2,
            maximum_interval=Duration(seconds=9),
            maximum_attempts=3,
            non_retryable_error_types=["X"],
        ),
        memo=Memo(fields={"note": JSON}),
        header=Header(fields={"trace": JSON}),
    )
    return workflow.StartWorkflowExecutionRequest(**(values | changes))


def update_request(execution: WorkflowExecution, **changes) -> workflow.UpdateWorkflowExecutionRequest:
    values = dict(
        namespace="default",
        workflow_execution=execution,
        first_execution_run_id=NO_RUN,
        wait_policy=WaitPolicy(lifecycle_stage=2),
        request=Request(meta=Meta(update_id="an update", identity="somebody"), input=Input(name="pass", args=ONE)),
    )
    return workflow.UpdateWorkflowExecutionRequest(**(values | changes))


async def good(rpc: str, side: Side) -> Message:
    """A request that has nothing wrong with it, or only that it can wait for ever."""
    common = dict(namespace="default")
    failure = Failure(message="no", application_failure_info=ApplicationFailureInfo(type="No"))
    match rpc:
        case "ListNamespaces":
            return workflow.ListNamespacesRequest(page_size=10)
        case "DescribeNamespace":
            return workflow.DescribeNamespaceRequest(**common)
        case "GetSystemInfo":
            return workflow.GetSystemInfoRequest()
        case "GetClusterInfo":
            return workflow.GetClusterInfoRequest()
        case "StartWorkflowExecution":
            return start_request(side)
        case "SignalWithStartWorkflowExecution":
            start = start_request(side)
            names = set(workflow.SignalWithStartWorkflowExecutionRequest.DESCRIPTOR.fields_by_name)
            shared = {field.name: value for field, value in start.ListFields() if field.name in names}
            shared["workflow_id_conflict_policy"] = 2
            return workflow.SignalWithStartWorkflowExecutionRequest(**shared, signal_name="close", signal_input=ONE)
        case "ExecuteMultiOperation":
            start = start_request(side, request_id="")
            start.ClearField("workflow_start_delay")
            operations = workflow.ExecuteMultiOperationRequest.Operation
            update = update_request(WorkflowExecution(workflow_id=start.workflow_id), first_execution_run_id="")
            return workflow.ExecuteMultiOperationRequest(
                operations=[operations(start_workflow=start), operations(update_workflow=update)], **common
            )
        case "PollActivityTaskQueue":
            return workflow.PollActivityTaskQueueRequest(task_queue=TaskQueue(name="no tasks"), identity="i", **common)
        case "DescribeTaskQueue":
            kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
            return workflow.DescribeTaskQueueRequest(task_queue=NOBODY, task_queue_type=kind, **common)
        case "ListTaskQueuePartitions":
            return workflow.ListTaskQueuePartitionsRequest(task_queue=NOBODY, **common)
        case "ShutdownWorker":
            return workflow.ShutdownWorkerRequest(sticky_task_queue="sticky", identity="i", reason="r", **common)
        case "ListWorkflowExecutions":
            return workflow.ListWorkflowExecutionsRequest(page_size=1, **common)
        case "ScanWorkflowExecutions":
            return workflow.ScanWorkflowExecutionsRequest(page_size=1, **common)
        case "ListOpenWorkflowExecutions":
            return workflow.ListOpenWorkflowExecutionsRequest(start_time_filter=StartTimeFilter(), **common)
        case "ListClosedWorkflowExecutions":
            return workflow.ListClosedWorkflowExecutionsRequest(start_time_filter=StartTimeFilter(), **common)
        case "CountWorkflowExecutions":
            return workflow.CountWorkflowExecutionsRequest(**common)
        case "ListSearchAttributes":
            return operator.ListSearchAttributesRequest(**common)
        case "ListClusters":
            return operator.ListClustersRequest(page_size=1)
    if "ActivityTask" in rpc:
        return activity_request(rpc, await parked_activity(side), failure)
    execution = await open_workflow(side)
    match rpc:
        case "GetWorkflowExecutionHistory":
            return workflow.GetWorkflowExecutionHistoryRequest(execution=execution, maximum_page_size=5, **common)
        case "GetWorkflowExecutionHistoryReverse":
            return workflow.GetWorkflowExecutionHistoryReverseRequest(
                execution=execution, maximum_page_size=5, **common
            )
        case "RequestCancelWorkflowExecution":
            return workflow.RequestCancelWorkflowExecutionRequest(
                workflow_execution=execution, identity="i", request_id="r", reason="r", **common
            )
        case "SignalWorkflowExecution":
            return workflow.SignalWorkflowExecutionRequest(
                workflow_execution=execution, signal_name="s", input=ONE, identity="i", request_id="r", **common
            )
        case "TerminateWorkflowExecution":
            return workflow.TerminateWorkflowExecutionRequest(
                workflow_execution=execution, reason="r", details=ONE, identity="i", **common
            )
        case "DeleteWorkflowExecution":
            return workflow.DeleteWorkflowExecutionRequest(workflow_execution=execution, **common)
        case "DescribeWorkflowExecution":
            return workflow.DescribeWorkflowExecutionRequest(execution=execution, **common)
        case "QueryWorkflow":
            query = WorkflowQuery(query_type="passed", query_args=ONE)
            return workflow.QueryWorkflowRequest(execution=execution, query=query, query_reject_condition=1, **common)
        case "UpdateWorkflowExecution":
            return update_request(execution, first_execution_run_id="")
        case "PollWorkflowExecutionUpdate":
            reference = UpdateRef(workflow_execution=execution, update_id="u")
            wait = WaitPolicy(lifecycle_stage=3)
            return workflow.PollWorkflowExecutionUpdateRequest(
                update_ref=reference, wait_policy=wait, identity="i", **common
            )
        case "ResetWorkflowExecution":
            return workflow.ResetWorkflowExecutionRequest(
                workflow_execution=execution,
                workflow_task_finish_event_id=4,
                reason="r",
                request_id="r",
                identity="i",
                reset_reapply_type=1,
                **common,
            )
    raise KeyError(f"{rpc} has no request here")


def activity_request(rpc: str, info, failure: Failure) -> Message:
    values = dict(namespace="default", identity="somebody")
    if rpc.endswith("ById"):
        values |= dict(workflow_id=info.workflow_id, run_id=info.workflow_run_id, activity_id=info.activity_id)
    else:
        values |= dict(task_token=info.task_token)
    if "Completed" in rpc:
        values |= dict(result=ONE)
    elif "Failed" in rpc:
        values |= dict(failure=failure, last_heartbeat_details=ONE)
    else:
        values |= dict(details=ONE)
    return getattr(workflow, f"{rpc}Request")(**values)


SERVED = """
    ListNamespaces DescribeNamespace GetSystemInfo GetClusterInfo StartWorkflowExecution
    SignalWithStartWorkflowExecution ExecuteMultiOperation PollActivityTaskQueue DescribeTaskQueue
    ListTaskQueuePartitions ShutdownWorker ListOpenWorkflowExecutions ListClosedWorkflowExecutions ListWorkflowExecutions ScanWorkflowExecutions CountWorkflowExecutions
    ListSearchAttributes ListClusters GetWorkflowExecutionHistory GetWorkflowExecutionHistoryReverse
    RequestCancelWorkflowExecution SignalWorkflowExecution TerminateWorkflowExecution DeleteWorkflowExecution
    DescribeWorkflowExecution QueryWorkflow UpdateWorkflowExecution PollWorkflowExecutionUpdate ResetWorkflowExecution
    RecordActivityTaskHeartbeat RecordActivityTaskHeartbeatById RespondActivityTaskCompleted
    RespondActivityTaskCompletedById RespondActivityTaskFailed RespondActivityTaskFailedById
    RespondActivityTaskCanceled RespondActivityTaskCanceledById
    """.split()


# Mainspring refuses these, as everything that it stores has a bound and every word a meaning; Temporal takes them.
STRICTER = re.compile(
    r"(identity|request_id|update_id|query_type|input\.name) is too long|(details|args) is too large|(policy|type|condition) is 99"
)


# How a request is made bad.


def variants(message: Message, path: str = "") -> Iterator[tuple[str, list, object]]:
    """For every field that is set, and some that are not: a name, the way to the field, and a value; None clears it."""
    for field, value in message.ListFields():
        way = [*([path] if path else []), field.name]
        yield ".".join(way), field.name, None
        if field.name == "namespace":
            yield ".".join(way), field.name, "nowhere"
        if field.is_repeated:
            continue
        yield from ((".".join(way), field.name, bad) for bad in bad_values(field, value))
        if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.name not in ("Duration", "Payloads"):
            yield from variants(value, ".".join(way))
    if isinstance(message, WorkflowExecution):
        for run_id in ("junk", NO_RUN):
            yield f"{path}.run_id", "run_id", run_id


def bad_values(field: FieldDescriptor, value) -> list:
    if field.type == FieldDescriptor.TYPE_STRING:
        known = {"workflow_id": ["nobody at all"], "run_id": ["junk", NO_RUN], "activity_id": ["nobody"]}
        return [LONG, *known.get(field.name, [])]
    if field.type == FieldDescriptor.TYPE_BYTES:
        return [b"junk", b"\x0a\xff\xff\xff\xff\x0f"]
    if field.type == FieldDescriptor.TYPE_ENUM:
        return [99]
    if field.type in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_DOUBLE):
        if field.name == "page_size":
            # A page that is not positive has the default size here; there it depends on the store.
            return []
        return [-1, 0.5] if field.type == FieldDescriptor.TYPE_DOUBLE else [-1]
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.name == "Duration":
        return [Duration(seconds=-1)]
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.name == "Payloads":
        return [Payloads(payloads=[LARGE])]
    return []


def changed(message: Message, way: str, value) -> Message:
    message = copy.deepcopy(message)
    *outer, name = way.split(".")
    inner = message
    for step in outer:
        inner = getattr(inner, step)
    if value is None:
        inner.ClearField(name)
    elif isinstance(value, Message):
        getattr(inner, name).CopyFrom(value)
    else:
        setattr(inner, name, value)
    return message


def named(way: str, value) -> str:
    if value is None:
        return f"{way} is left out"
    if isinstance(value, Message):
        return f"{way} is {'negative' if isinstance(value, Duration) else 'too large'}"
    return f"{way} is {'too long' if value == LONG else repr(value)}"


async def answer(side: Side, rpc: str, request: Message):
    service = side.client.operator_service if rpc in OPERATOR else side.client.workflow_service
    method = getattr(service, re.sub(r"(?<!^)(?=[A-Z])", "_", rpc).lower())
    try:
        await asyncio.wait_for(method(request, retry=False), NEVER_S)
    except TimeoutError:
        return WAITS
    except ERRORS as error:
        return WAITS if WITHOUT_A_MODULE in str(error) else in_short(described(error))
    return "ok"


def in_short(error: dict) -> dict:
    """INVALID_ARGUMENT names the mistake in the server's own words: Temporal's differ from RPC to RPC for the same one."""
    if error["code"] == "INVALID_ARGUMENT":
        assert error.pop("message"), "it says nothing"
    return error


WORKFLOW = {name.removesuffix("Request") for name in workflow.DESCRIPTOR.message_types_by_name if name.endswith("Request")}
OPERATOR = {name.removesuffix("Request") for name in operator.DESCRIPTOR.message_types_by_name if name.endswith("Request")}


@pytest.mark.mainspring_only
async def test_every_rpc_has_its_cases(both):
    """One that Mainspring begins to serve needs a request here, and is no longer among those that it does not."""
    server, client, activities = both[0]
    side = Side(server, client, activities, "none", "every RPC")
    all_of_them = sorted(WORKFLOW | OPERATOR)
    empty = [getattr(workflow if rpc in WORKFLOW else operator, f"{rpc}Request")() for rpc in all_of_them]
    answers = await asyncio.gather(*(answer(side, *call) for call in zip(all_of_them, empty)))
    refused = {rpc for rpc, said in zip(all_of_them, answers) if f"does not offer {rpc}" in str(said)}
    assert refused == NOT_SERVED
    assert set(SERVED) | OTHERWISE == set(all_of_them) - refused


@pytest.mark.parametrize("rpc", SERVED)
async def test_bad_requests(run, rpc):
    async def script(side):
        async def one(what: str, request: Message) -> None:
            said = await answer(side, rpc, request)
            if STRICTER.search(what):
                if isinstance(side.server, Mainspring):
                    assert said in ("ok", WAITS) or said["code"] in BLAMES_THE_CLIENT, f"{what}: {said}"
            else:
                side.note(what, said)

        template = await good(rpc, side)
        module = workflow if rpc in WORKFLOW else operator
        cases = {"good": template, "empty": getattr(module, f"{rpc}Request")()}
        for way, _, value in variants(template):
            if value == "nobody at all" and rpc in STARTS:
                # As good an id as any.
                continue
            # Each has a workflow of its own, as some of these requests are good enough.
            cases[named(way, value)] = changed(await good(rpc, side), way, value)
        await asyncio.gather(*(one(*case) for case in cases.items()))

    await run(script)
