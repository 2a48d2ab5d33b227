"""The operations that the task manager has not answered yet, in the order of their sequence.

What has been taken once is never changed again: it may have been applied, and then a replay of it does nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from outlast.core.operation import Action, Operation, Output, Report
from outlast.tasks.output_room import OutputRoom

#: Bytes up to which output that nobody has taken yet is joined into one operation.
JOINED_OUTPUT = 256 * 1024
#: Operations and bytes in one batch: enough for one commit to be worth it, small enough to decode quickly.
BATCH_OPERATIONS = 512
BATCH_BYTES = 1024 * 1024
#: Operations taken and not answered: bounds what the task manager must hold for this worker.
MAX_IN_FLIGHT = 4_096


class UnansweredOperations:
    """A queue that is taken from, rewound and answered. Not thread-safe: the ledger's lock protects it.

    Sequences have no gaps, so that each operation is found by its own, however many there are.
    """

    def __init__(self) -> None:
        #: The sequence of the newest operation.
        self.sequence = 0
        #: Every operation up to this sequence has been answered.
        self.answered = 0
        #: The bytes of output among them, and who waits until there are fewer.
        self.room = OutputRoom()
        self._operations: dict[int, Operation] = {}
        #: How many there are of each task.
        self._of_task: dict[int, int] = {}
        #: Every operation up to this sequence has been taken since the last rewind.
        self._taken = 0
        #: Bytes of those that have not.
        self._waiting_bytes = 0
        #: The highest sequence that has ever been taken.
        self._sealed = 0
        #: The report and the newest output of a task that were never taken.
        self._reports: dict[int, int] = {}
        self._outputs: dict[int, int] = {}
        #: Outputs that were joined, by sequence, without the bracket at the end: copied once, when they are taken.
        self._joined: dict[int, bytearray] = {}

    def __len__(self) -> int:
        return self.sequence - self.answered

    def has(self, task_id: int) -> bool:
        """Whether an operation of this task is among them."""
        return task_id in self._of_task

    @property
    def in_flight(self) -> int:
        """How many were taken and are not answered."""
        return self._taken - self.answered

    @property
    def ready(self) -> bool:
        """Whether the next batch is to be taken now: there is as much to send as is on its way, or it is full.

        There is no window to wait for. What comes alone goes at once. What comes in numbers gathers while others are on
        their way to the disk and back: fewer messages and commits, which is most of what a small operation costs.
        """
        waiting, in_flight = self.sequence - self._taken, self._taken - self.answered
        if not waiting or in_flight >= MAX_IN_FLIGHT:
            return False
        return waiting >= in_flight or waiting >= BATCH_OPERATIONS or self._waiting_bytes >= BATCH_BYTES

    @property
    def sealed(self) -> int:
        """The highest sequence that has ever been taken: the task manager may know of everything up to it."""
        return self._sealed

    # -- what goes in ----------------------------------------------------------------------------------

    def add(self, task_id: int, at: datetime, action: Action, attempt: int = 0) -> int:
        """Put an action into the queue; return the sequence of its operation. Output is joined where it can be."""
        if isinstance(action, Output) and (joined := self._join(task_id, at, action, attempt)):
            return joined
        # A finaliser that the garbage collector runs in here may add another operation: each has its own sequence.
        self.sequence = sequence = self.sequence + 1
        operation = self._operations[sequence] = Operation(sequence, task_id, at, action, attempt)
        self._waiting_bytes += operation.size
        self._of_task[task_id] = self._of_task.get(task_id, 0) + 1
        if isinstance(action, Output):
            self.room.add(task_id, len(action.chunks))
            self._outputs[task_id] = sequence
        elif isinstance(action, Report):
            self._reports[task_id] = sequence
        return sequence

    def replace_report(self, task_id: int, at: datetime, report: Report, attempt: int = 0) -> bool:
        """Put a report in the place of the attempt's last one, wherever that waits; False when none waits any more."""
        sequence = self._reports.get(task_id)
        if sequence is None or self._operations[sequence].attempt != attempt:
            return False
        self._operations[sequence] = replace(self._operations[sequence], at=at, action=report)
        return True

    def _join(self, task_id: int, at: datetime, output: Output, attempt: int) -> int | None:
        """Append output to the attempt's newest one, if that was never taken; return its sequence."""
        sequence = self._outputs.get(task_id)
        if sequence is None or self._operations[sequence].attempt != attempt:
            return None
        operation = self._operations[sequence]
        assert isinstance(operation.action, Output)
        joined = self._joined.setdefault(sequence, bytearray(operation.action.chunks[:-1]))
        if len(joined) + len(output.chunks) > JOINED_OUTPUT:
            return None
        # `[1]` and `[2]` are `[1,2]`: two brackets give way to one comma.
        joined += b"," + output.chunks[1:-1]
        self._operations[sequence] = replace(operation, at=at)
        self.room.add(task_id, len(output.chunks) - 1)
        self._waiting_bytes += len(output.chunks) - 1
        return sequence

    # -- what comes out --------------------------------------------------------------------------------

    def take(self, limit: int, max_bytes: int) -> list[Operation]:
        """Return the next operations not taken since the last rewind, in order.

        At most ``limit``, and of about ``max_bytes`` together unless the first alone is larger.
        """
        batch: list[Operation] = []
        size = 0
        for sequence in range(self._taken + 1, min(self._taken + limit, self.sequence) + 1):
            operation = self._operations[sequence]
            more = self._size(operation)
            if batch and size + more > max_bytes:
                break
            size += more
            batch.append(self._seal(operation) if sequence > self._sealed else operation)
        self._taken += len(batch)
        self._waiting_bytes = self._waiting_bytes - size if self._taken < self.sequence else 0
        return batch

    def rewind(self) -> None:
        """Offer everything again: what was taken may not have arrived."""
        self._taken = self.answered
        self._waiting_bytes = sum(map(self._size, self._operations.values()))

    def answer(self, sequence: int) -> list[Operation]:
        """Drop the operations up to ``sequence``, and return them."""
        dropped: list[Operation] = []
        for answered in range(self.answered + 1, min(sequence, self.sequence) + 1):
            self.answered = answered
            operation = self._operations[answered]
            if answered > self._sealed:
                operation = self._seal(operation)
            if answered > self._taken:
                self._waiting_bytes -= self._size(operation)
            del self._operations[answered]
            task_id = operation.task_id
            left = self._of_task[task_id] - 1
            if left:
                self._of_task[task_id] = left
            else:
                del self._of_task[task_id]
            if type(operation.action) is Output:
                self.room.free(task_id, len(operation.action.chunks))
            dropped.append(operation)
        self._taken = max(self._taken, self.answered)
        return dropped

    def _size(self, operation: Operation) -> int:
        """Return roughly how many bytes an operation takes on the wire."""
        if self._joined and (joined := self._joined.get(operation.sequence)) is not None:
            assert isinstance(operation.action, Output)
            return operation.size - len(operation.action.chunks) + len(joined) + 1
        return operation.size

    def _seal(self, operation: Operation) -> Operation:
        """Return the next operation that was never taken as it stays from now on."""
        self._sealed = sequence = operation.sequence
        if isinstance(operation.action, Output):
            return self._seal_output(operation)
        if isinstance(operation.action, Report) and self._reports.get(operation.task_id) == sequence:
            del self._reports[operation.task_id]
        return operation

    def _seal_output(self, operation: Operation) -> Operation:
        sequence = operation.sequence
        if self._outputs.get(operation.task_id) == sequence:
            del self._outputs[operation.task_id]
        if (joined := self._joined.pop(sequence, None)) is not None:
            operation = replace(operation, action=Output(bytes(joined) + b"]"))
            self._operations[sequence] = operation
        return operation
