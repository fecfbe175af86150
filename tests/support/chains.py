"""What must hold of all histories of a server under `support.traffic`, when all is over."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType, ParentClosePolicy
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from .load import Violation
from .traffic import Traffic, value_of

CLOSING = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "completed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "canceled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "continued",
}


@dataclass
class Run:
    workflow_id: str
    run_id: str
    events: list[HistoryEvent]

    @property
    def started(self):
        return self.events[0].workflow_execution_started_event_attributes

    @property
    def end(self) -> str | None:
        return CLOSING.get(self.events[-1].event_type)

    @property
    def result(self):
        return json.loads(self.events[-1].workflow_execution_completed_event_attributes.result.payloads[0].data)

    def all(self, kind: str):
        """The attributes of the events of this kind, with the events."""
        field = f"{kind}_event_attributes"
        return [(event, getattr(event, field)) for event in self.events if event.HasField(field)]


class Chains:
    """All runs of a server, by workflow id and in their order."""

    def __init__(self, runs: list[Run]):
        self.runs = runs
        self.by_id: dict[str, list[Run]] = defaultdict(list)
        for run in sorted(runs, key=lambda run: run.events[0].event_time.ToNanoseconds()):
            self.by_id[run.workflow_id].append(run)
        self.problems: list[str] = []
        self.carried = 0

    @staticmethod
    async def read(client: Client) -> "Chains":
        runs = []
        async for execution in client.list_workflows():
            handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
            history = await handle.fetch_history()
            runs.append(Run(execution.id, execution.run_id, list(history.events)))
        return Chains(runs)

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def once(self, what: str, found: list[Run], sent: int, acknowledged: bool) -> None:
        """Something that was sent is there once. As in Temporal, an id is known within a run: what was sent a second
        time, because the answer was lost, when its workflow had gone on in another run, is taken there again."""
        counts = Counter(run.run_id for run in found)
        self.expect(not acknowledged or bool(found), f"{what} was acknowledged, and is lost")
        self.expect(all(count == 1 for count in counts.values()), f"{what} is in one run {max(counts.values(), default=0)} times")
        self.expect(len(found) <= 1 or sent > 1, f"{what} was sent once, and is there {len(found)} times")
        self.carried += max(0, len(found) - 1)

    def check(self, traffic: Traffic) -> str:
        """Raises with all that is wrong; returns what was checked."""
        for run in self.runs:
            ids = [event.event_id for event in run.events]
            self.expect(ids == list(range(1, len(ids) + 1)), f"{run.workflow_id}: its events are not in sequence")
            self.expect(run.end is not None, f"{run.workflow_id} ({run.run_id}) has not ended")
        for workflow_id, run_id in traffic.started.items():
            found = [run.run_id for run in self.by_id[workflow_id]]
            self.expect(found[:1] == [run_id], f"{workflow_id} was started as {run_id}; its runs are {found}")
        checked = {
            "timers": self.check_timers(),
            "children": self.check_children(),
            "messages": self.check_messages(),
            "notes": self.check_notes(traffic),
            "updates": self.check_updates(traffic),
            "cancels": self.check_cancels(traffic),
            "activities": self.check_activities(traffic),
            "retry pauses": traffic.check_pauses(),
        }
        self.problems += traffic.violations
        if self.problems:
            raise Violation(f"{len(self.problems)} violations:\n" + "\n".join(self.problems[:30]))
        for what, number in checked.items():
            assert number, f"no {what} were under way: the loop has shown nothing of them"
        seen = ", ".join(f"{number} {what}" for what, number in checked.items())
        return f"{len(self.runs)} runs of {sum(len(run.events) for run in self.runs)} events: {seen}; {self.carried} " + (
            "sent again to the next run"
        )

    def check_timers(self) -> int:
        """None fires early, none fires twice."""
        fired = 0
        for run in self.runs:
            started = {event.event_id: (event, timer) for event, timer in run.all("timer_started")}
            ended = Counter(timer.started_event_id for _, timer in run.all("timer_fired") + run.all("timer_canceled"))
            self.expect(all(n == 1 for n in ended.values()), f"{run.workflow_id}: a timer has fired more than once")
            for event, timer in run.all("timer_fired"):
                begun, options = started[timer.started_event_id]
                due = begun.event_time.ToNanoseconds() + options.start_to_fire_timeout.ToNanoseconds()
                early = due - event.event_time.ToNanoseconds()
                self.expect(early <= 0, f"{run.workflow_id}: timer {timer.timer_id} fired {early} ns early")
                fired += 1
        for hub, run in self.ends_of("Hub"):
            self.expect(not run.result["early"], f"{hub} saw timers fire early: {run.result['early']}")
        return fired

    def ends_of(self, workflow_type: str):
        for workflow_id, runs in self.by_id.items():
            if runs[-1].started.workflow_type.name == workflow_type and runs[-1].end == "completed":
                yield workflow_id, runs[-1]

    def check_children(self) -> int:
        """Each child that was asked for has begun once, ended as it must, and its parent knows what it must know."""
        asked = {}
        for run in self.runs:
            begun = {it.initiated_event_id: it for _, it in run.all("child_workflow_execution_started")}
            completed = {it.initiated_event_id: it for _, it in run.all("child_workflow_execution_completed")}
            for event, child in run.all("start_child_workflow_execution_initiated"):
                asked[run.run_id, event.event_id] = child
                first = [it for it in self.by_id[child.workflow_id] if it.started.first_execution_run_id == it.run_id]
                name = f"{run.workflow_id}: child {child.workflow_id}"
                self.expect(len(first) == 1, f"{name} has begun {len(first)} times")
                if event.event_id not in begun or len(first) != 1:
                    self.expect(len(first) != 1, f"{name} has begun, and its parent does not know")
                    continue
                told = begun[event.event_id].workflow_execution.run_id
                self.expect(told == first[0].run_id, f"{name} is {first[0].run_id}, and its parent was told of {told}")
                last = self.by_id[child.workflow_id][-1]
                if event.event_id in completed:
                    result = completed[event.event_id].result
                    ended = last.events[-1].workflow_execution_completed_event_attributes.result
                    self.expect(result == ended, f"{name} has another result than its parent was told")
                    continue
                expected = {
                    ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE: "terminated",
                    ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL: "canceled",
                    ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON: "completed",
                }[child.parent_close_policy]
                self.expect(last.end == expected, f"{name} is {last.end}, and not {expected}")
        for run in self.runs:
            if (parent := run.started.parent_workflow_execution.run_id) and not run.started.continued_execution_run_id:
                known = (parent, run.started.parent_initiated_event_id) in asked
                self.expect(known, f"{run.workflow_id} is the child of a run that has not asked for it")
        return len(asked)

    def check_messages(self) -> int:
        """What a workflow sent to another one is there once, and its sender knows."""
        taken = 0
        for run in self.runs:
            ends = Counter(
                fate.initiated_event_id
                for kind in ("external_workflow_execution_signaled", "signal_external_workflow_execution_failed")
                for _, fate in run.all(kind)
            )
            delivered = {it.initiated_event_id for _, it in run.all("external_workflow_execution_signaled")}
            for event, sent in run.all("signal_external_workflow_execution_initiated"):
                note = json.loads(sent.input.payloads[0].data)
                self.expect(ends[event.event_id] == 1, f"{note} has {ends[event.event_id]} fates")
                found = self.takers(sent.workflow_execution.workflow_id, note)
                # A server that was killed before it knew the answer sends it again.
                self.once(note, found, 2, event.event_id in delivered)
                self.expect(bool(found) == (event.event_id in delivered), f"{note}: its sender was told the contrary")
                taken += len(found)
        return taken

    def takers(self, workflow_id: str, note: str) -> list[Run]:
        return self.notes().get((workflow_id, note), [])

    def notes(self) -> dict[tuple[str, str], list[Run]]:
        if not hasattr(self, "_notes"):
            self._notes = defaultdict(list)
            for run in self.runs:
                for note in notes_of(run):
                    self._notes[run.workflow_id, note].append(run)
        return self._notes

    def check_notes(self, traffic: Traffic) -> int:
        """Signals are neither lost nor doubled, and the workflow has seen them in their order."""
        for hub, notes in traffic.told.notes.items():
            acknowledged = set(notes)
            sent = {note for note in traffic.told.sent if note.startswith(f"{hub}/note.")}
            for note in sent:
                self.once(note, self.takers(hub, note), traffic.told.sent[note], note in acknowledged)
            runs = self.by_id[hub]
            self.expect(runs[-1].end == "completed", f"{hub} is {runs[-1].end}")
            if runs[-1].end == "completed":
                journal = [note for run in runs for note in notes_of(run)]
                self.expect(runs[-1].result["notes"] == journal, f"{hub} has seen other notes than its histories hold")
        return sum(len(notes) for notes in traffic.told.notes.values())

    def check_updates(self, traffic: Traffic) -> int:
        told = traffic.told
        accepted, completed = defaultdict(list), defaultdict(dict)
        for run in self.runs:
            for _, it in run.all("workflow_execution_update_accepted"):
                accepted[it.protocol_instance_id].append(run)
            for _, it in run.all("workflow_execution_update_completed"):
                self.expect(run.run_id not in completed[it.meta.update_id], f"{it.meta.update_id} was completed twice")
                completed[it.meta.update_id][run.run_id] = value_of(it.outcome)
        for update_id, sent in told.sent.items():
            if "/deposit." in update_id:
                self.once(update_id, accepted[update_id], sent, update_id in told.accepted)
        for update_id, ref in told.accepted.items():
            run_id = ref.workflow_execution.run_id
            found = [run.run_id for run in accepted[update_id]]
            self.expect(run_id in found, f"{update_id} was accepted by {run_id}; the histories say {found}")
            if update_id in told.outcomes:
                outcome, stored = told.outcomes[update_id], completed[update_id].get(run_id)
                self.expect(outcome == stored, f"{update_id}: {outcome} was acknowledged; the history has {stored}")
        for hub, run in self.ends_of("Hub"):
            stored = Counter({i: len(runs) for i, runs in completed.items() if i.startswith(f"{hub}/")})
            self.expect(Counter(run.result["deposits"]) == stored, f"{hub} has made other deposits than its histories")
        return len(told.outcomes)

    def check_cancels(self, traffic: Traffic) -> int:
        for victim in traffic.told.canceled:
            runs = self.by_id[victim]
            asked = sum(len(run.all("workflow_execution_cancel_requested")) for run in runs)
            self.expect(asked == 1, f"{victim} was asked to cancel {asked} times")
            self.expect(runs[-1].end == "canceled", f"{victim} is {runs[-1].end}")
        return len(traffic.told.canceled)

    def check_activities(self, traffic: Traffic) -> int:
        stored = defaultdict(list)
        for run in self.runs:
            names = {event.event_id: it for event, it in run.all("activity_task_scheduled")}
            for _, done in run.all("activity_task_completed"):
                name = json.loads(names[done.scheduled_event_id].input.payloads[0].data)
                stored[name].append(json.loads(done.result.payloads[0].data))
        for name, result in traffic.told.results.items():
            self.expect(stored[name] == [result], f"{name}: {result} was acknowledged; the history has {stored[name]}")
        return len(traffic.told.results)


def notes_of(run: Run) -> list[str]:
    signals = [it for _, it in run.all("workflow_execution_signaled") if it.signal_name == "note"]
    return [json.loads(it.input.payloads[0].data) for it in signals]
