"""What travels on the worker stream: operations up, and an answer for each of them down."""

from __future__ import annotations

from typing import assert_never

from outlast.core.errors import InvalidField, OutlastError
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start, Submit
from outlast.v1 import worker_service_pb2 as pb
from outlast.wire.errors import from_status, task_error_from_status, task_error_to_status, to_status
from outlast.wire.tasks import (
    json_from_text,
    json_to_text,
    progress_from_proto,
    progress_to_proto,
    state_from_proto,
    state_to_proto,
    trace_from_proto,
    trace_to_proto,
)
from outlast.wire.times import duration_from_proto, duration_to_proto, time_from_proto, time_to_proto


def operation_to_proto(operation: Operation) -> pb.Operation:
    """Return an operation's message."""
    proto = pb.Operation(
        sequence=operation.sequence,
        task_id=operation.task_id,
        operation_time=time_to_proto(operation.at),
        attempt=operation.attempt,
    )
    action = operation.action
    match action:
        case Start():
            proto.start.CopyFrom(_start_to_proto(action))
        case Submit(start=start, state_reason=reason):
            proto.submit.CopyFrom(pb.SubmitOperation(start=_start_to_proto(start), state_reason=reason))
        case Report(progress=progress):
            proto.progress.CopyFrom(pb.ProgressOperation(progress=progress_to_proto(progress)))
        case Output(chunks=chunks):
            proto.output.CopyFrom(pb.OutputOperation(chunks=chunks.decode()))
        case Finish():
            proto.finish.CopyFrom(
                pb.FinishOperation(
                    state=state_to_proto(action.state),
                    state_reason=action.state_reason,
                    result=json_to_text(action.result),
                    error=task_error_to_status(action.error),
                )
            )
        case _:
            assert_never(action)
    return proto


def operation_from_proto(proto: pb.Operation) -> Operation:
    """Return the operation that a message describes.

    Raises:
        InvalidField: it says nothing to do, no time, or a time or state that there is not.
    """
    if not proto.HasField("operation_time"):
        raise InvalidField("operation_time", "is missing")
    return Operation(
        sequence=proto.sequence,
        task_id=proto.task_id,
        at=time_from_proto(proto.operation_time, "operation_time"),
        action=_action_from_proto(proto),
        attempt=proto.attempt,
    )


def result_to_proto(sequence: int, refusal: OutlastError | None) -> pb.OperationResult:
    """Return the answer to an operation; no refusal when it was applied."""
    return pb.OperationResult(sequence=sequence, error=to_status(refusal) if refusal else None)


def result_from_proto(proto: pb.OperationResult) -> tuple[int, OutlastError | None]:
    """Return the sequence of an answered operation, and why it was refused, or None."""
    return proto.sequence, from_status(proto.error) if proto.HasField("error") else None


def _start_to_proto(start: Start) -> pb.StartOperation:
    return pb.StartOperation(
        task_type=start.task_type,
        session_id=start.session_id,
        request_id=start.request_id,
        metadata=json_to_text(start.metadata),
        trace_context=trace_to_proto(start.trace_context),
        labels=dict(start.labels),
        max_attempts=start.max_attempts,
        input=json_to_text(start.input),
        timeout=duration_to_proto(start.timeout),
        backoff=duration_to_proto(start.backoff),
        manual=start.manual,
    )


def _start_from_proto(proto: pb.StartOperation) -> Start:
    return Start(
        task_type=proto.task_type,
        session_id=proto.session_id,
        request_id=proto.request_id,
        metadata=json_from_text(proto.metadata),
        input=json_from_text(proto.input),
        trace_context=trace_from_proto(proto.trace_context),
        labels=dict(proto.labels),
        max_attempts=proto.max_attempts or 1,
        timeout=duration_from_proto(proto.timeout, "start.timeout") if proto.HasField("timeout") else None,
        backoff=duration_from_proto(proto.backoff, "start.backoff") if proto.HasField("backoff") else None,
        manual=proto.manual,
    )


def _action_from_proto(proto: pb.Operation) -> Action:
    match proto.WhichOneof("operation"):
        case "start":
            return _start_from_proto(proto.start)
        case "submit":
            return Submit(_start_from_proto(proto.submit.start), proto.submit.state_reason)
        case "progress":
            return Report(progress_from_proto(proto.progress.progress, "progress"))
        case "output":
            return Output(proto.output.chunks.encode())
        case "finish":
            finish = proto.finish
            return Finish(
                state=state_from_proto(finish.state, "finish.state"),
                state_reason=finish.state_reason,
                result=json_from_text(finish.result),
                error=task_error_from_status(finish.error) if finish.HasField("error") else None,
            )
        case _:
            raise InvalidField("operation", "is missing")
