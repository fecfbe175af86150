package internal

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/internal/host"
)

// fakeHost notes what it is told, one line for each call.
type fakeHost struct {
	operations uint32
	said       []string
	patches    map[string]bool
}

func (h *fakeHost) say(format string, values ...any) {
	h.said = append(h.said, fmt.Sprintf(format, values...))
}

func (h *fakeHost) begin(format string, values ...any) uint32 {
	h.operations++
	h.say("%d "+format, append([]any{h.operations}, values...)...)
	return h.operations
}

func data(payloads []host.Payload) string {
	var all []string
	for _, payload := range payloads {
		all = append(all, string(payload.Data))
	}
	return strings.Join(all, ",")
}

func (h *fakeHost) Now() time.Time                   { return time.Unix(1_700_000_000, 0).UTC() }
func (h *fakeHost) RandomBytes(length uint32) []byte { return make([]byte, length) }
func (h *fakeHost) StartTimer(after time.Duration, _ string) uint32 {
	return h.begin("timer %s", after)
}
func (h *fakeHost) CancelTimer(timer uint32) { h.say("cancel timer %d", timer) }
func (h *fakeHost) ScheduleActivity(name string, input []host.Payload, _ *host.ActivityOptions) uint32 {
	return h.begin("activity %s(%s)", name, data(input))
}
func (h *fakeHost) CancelActivity(activity uint32) { h.say("cancel activity %d", activity) }
func (h *fakeHost) StartChild(name string, input []host.Payload, o *host.ChildOptions) uint32 {
	return h.begin("child %s(%s) as %s", name, data(input), o.WorkflowID)
}
func (h *fakeHost) CancelChild(child uint32) { h.say("cancel child %d", child) }
func (h *fakeHost) Signal(target host.Target, name string, input []host.Payload, _ []host.Field) uint32 {
	return h.begin("signal %s(%s) to %d%s", name, data(input), target.Child, target.WorkflowID)
}
func (h *fakeHost) CancelSignal(signal uint32) { h.say("cancel signal %d", signal) }
func (h *fakeHost) RequestCancel(id, _, _ string) uint32 {
	return h.begin("request cancel of %s", id)
}
func (h *fakeHost) AcceptUpdate(update uint32) { h.say("accept %d", update) }
func (h *fakeHost) RejectUpdate(update uint32, reason []host.Failure) {
	h.say("reject %d: %s", update, reason[0].Message)
}
func (h *fakeHost) CompleteUpdate(update uint32, result []host.Payload, failure []host.Failure) {
	h.say("complete %d: %s %d", update, data(result), len(failure))
}
func (h *fakeHost) UpsertMemo(fields []host.Field)             { h.say("memo %d", len(fields)) }
func (h *fakeHost) UpsertSearchAttributes(fields []host.Field) { h.say("attributes %d", len(fields)) }
func (h *fakeHost) Patched(id string) bool {
	h.say("patched %s", id)
	return h.patches[id]
}
func (h *fakeHost) DeprecatePatch(string) {}
func (h *fakeHost) RecordMarker(name string, _ []host.Detail, _ []host.Failure) {
	h.say("marker %s", name)
}
func (h *fakeHost) Info() host.Info {
	return host.Info{WorkflowType: "Test", WorkflowID: "test", RunID: "run"}
}
func (h *fakeHost) History() host.HistoryInfo { return host.HistoryInfo{} }
func (h *fakeHost) Log(_ host.Level, message string, _ []host.LogField) {
	h.say("log %s", message)
}

type testRun struct {
	t      *testing.T
	host   *fakeHost
	guest  Guest
	status host.Status
}

// start begins a run of the function.
func start(t *testing.T, function any, arguments ...any) *testRun {
	t.Helper()
	h := &fakeHost{patches: map[string]bool{}}
	return startOn(t, h, function, arguments...)
}

func startOn(t *testing.T, h *fakeHost, function any, arguments ...any) *testRun {
	t.Helper()
	registered = true
	registry.names, registry.workflows = nil, nil
	RegisterWorkflow(function, "Test")
	input, err := encodeAll(arguments)
	if err != nil {
		t.Fatal(err)
	}
	r := &testRun{t: t, host: h, guest: Guest{Host: h}}
	r.status = r.guest.Start("Test", input)
	return r
}

func (r *testRun) resume(events ...host.Event) *testRun {
	r.t.Helper()
	if r.status.Kind != host.Blocked {
		r.t.Fatalf("it has ended: %+v", r.status)
	}
	r.status = r.guest.Resume(events)
	return r
}

func payloads(values ...any) []host.Payload {
	encoded, err := encodeAll(values)
	if err != nil {
		panic(err)
	}
	return encoded
}

func activityDone(operation uint32, result any) host.Event {
	return host.Event{Kind: host.ActivityResolved, Operation: operation, Payloads: payloads(result)}
}

func signal(name string, arguments ...any) host.Event {
	return host.Event{Kind: host.SignalReceived, Name: name, Payloads: payloads(arguments...)}
}

func (r *testRun) said(expected ...string) {
	r.t.Helper()
	if !slices.Equal(r.host.said, expected) {
		r.t.Errorf("said\n%s\nexpected\n%s", strings.Join(r.host.said, "\n"), strings.Join(expected, "\n"))
	}
}

func (r *testRun) result(expected any) {
	r.t.Helper()
	want, _ := json.Marshal(expected)
	if r.status.Kind != host.Completed || data(r.status.Payloads) != string(want) {
		r.t.Errorf("%+v is not completed with %s", r.status, want)
	}
}

func soon(ctx Context) Context {
	return WithActivityOptions(ctx, ActivityOptions{StartToCloseTimeout: time.Second})
}

func TestRoutinesHaveTheirTurnsInTheOrderOfTheirBeginning(t *testing.T) {
	r := start(t, func(ctx Context) (string, error) {
		ctx = soon(ctx)
		var log string
		for _, name := range []string{"a", "b", "c"} {
			Go(ctx, name, func(ctx Context) {
				var got string
				_ = ExecuteActivity(ctx, name).Get(ctx, &got)
				log += name + got
			})
		}
		err := Await(ctx, func() bool { return len(log) == 6 })
		return log, err
	})
	r.said("1 activity a()", "2 activity b()", "3 activity c()")
	r.resume(activityDone(3, "3"), activityDone(1, "1"))
	r.resume(activityDone(2, "2"))
	r.result("a1c3b2")
}

func TestTwoSelectorsHandOverAValue(t *testing.T) {
	r := start(t, func(ctx Context) ([]string, error) {
		var log []string
		c := newChannel("c", 0)
		Go(ctx, "", func(ctx Context) {
			NewSelector(ctx).AddReceive(c, func(c ReceiveChannel, more bool) {
				var v string
				c.Receive(ctx, &v)
				log = append(log, "got "+v)
			}).Select(ctx)
		})
		Go(ctx, "", func(ctx Context) {
			NewSelector(ctx).AddSend(c, "v", func() { log = append(log, "sent") }).Select(ctx)
		})
		err := Await(ctx, func() bool { return len(log) == 2 })
		return log, err
	})
	r.result([]string{"sent", "got v"})
}

func TestASelectorWaitsNowhereOnceItHasChosen(t *testing.T) {
	r := start(t, func(ctx Context) (int, error) {
		cancelable, _ := WithCancel(ctx)
		done := cancelable.Done().(*channel)
		signals := GetSignalChannel(ctx, "s")
		for range 10 {
			NewSelector(ctx).
				AddReceive(done, func(ReceiveChannel, bool) {}).
				AddReceive(signals, func(c ReceiveChannel, _ bool) { c.Receive(ctx, nil) }).
				Select(ctx)
		}
		return len(done.receivers), nil
	})
	for range 9 {
		r.resume(signal("s"))
	}
	r.resume(signal("s"))
	r.result(0)
}

func TestWhatIsCanceledIsCanceledInTheOrderOfItsStart(t *testing.T) {
	r := start(t, func(ctx Context) (bool, error) {
		ctx = soon(ctx)
		inner, cancel := WithCancel(ctx)
		timer := NewTimer(inner, time.Hour, "")
		activity := ExecuteActivity(inner, "a")
		ExecuteActivity(ctx, "outside")
		GetSignalChannel(ctx, "stop").Receive(ctx, nil)
		cancel()
		refused := ExecuteActivity(inner, "never").Get(ctx, nil)
		return errors.Is(timer.Get(ctx, nil), ErrCanceled) && errors.Is(refused, ErrCanceled) && isCanceled(activity.Get(ctx, nil)), nil
	})
	r.resume(signal("stop"))
	r.said("1 timer 1h0m0s", "2 activity a()", "3 activity outside()", "cancel timer 1", "cancel activity 2")
	r.resume(host.Event{Kind: host.ActivityResolved, Operation: 2, Failure: []host.Failure{
		{Kind: host.KindActivity}, {Kind: host.KindCanceled},
	}})
	r.result(true)
}

func TestAnUpdateWaitsForItsHandlerUntilNothingMoves(t *testing.T) {
	r := start(t, func(ctx Context) error {
		GetSignalChannel(ctx, "go").Receive(ctx, nil)
		handler := func(ctx Context, by int) (int, error) { return by + 1, nil }
		if err := SetUpdateHandler(ctx, "add", handler, UpdateHandlerOptions{}); err != nil {
			return err
		}
		GetSignalChannel(ctx, "go").Receive(ctx, nil)
		return nil
	})
	update := func(number uint32) host.Event {
		return host.Event{Kind: host.UpdateRequested, Number: number, ID: "u", Name: "add", Payloads: payloads(4), RunValidator: true}
	}
	r.resume(update(1))
	r.resume(update(2), signal("go"))
	r.said(
		"reject 1: Update handler for 'add' expected but not found, and there is no dynamic handler. known updates: []",
		"accept 2", "complete 2: 5 0",
	)
}

func TestAfterTheEndOnlyUpdatesAreAnswered(t *testing.T) {
	r := start(t, func(ctx Context) error {
		ctx = soon(ctx)
		if err := SetUpdateHandler(ctx, "last", func(ctx Context) error {
			ExecuteActivity(ctx, "too late")
			return nil
		}, UpdateHandlerOptions{}); err != nil {
			return err
		}
		GetSignalChannel(ctx, "end").Receive(ctx, nil)
		return nil
	})
	r.resume(signal("end"), host.Event{Kind: host.UpdateRequested, Number: 1, ID: "u", Name: "last", RunValidator: true})
	r.said("accept 1", "complete 1:  0")
	if r.status.Kind != host.Completed {
		t.Errorf("%+v", r.status)
	}
}

func TestAVersionIsTheNewestThatTheJournalRemembers(t *testing.T) {
	h := &fakeHost{patches: map[string]bool{"change-1": true}}
	r := startOn(t, h, func(ctx Context) ([]Version, error) {
		first := GetVersion(ctx, "change", DefaultVersion, 3)
		return []Version{first, GetVersion(ctx, "change", DefaultVersion, 3), GetVersion(ctx, "other", DefaultVersion, 1)}, nil
	})
	r.said("patched change-3", "patched change-2", "patched change-1", "patched other-1", "patched other-0")
	r.result([]int{1, 1, -1})
}

func TestAFailureIsPassedOnAsItCame(t *testing.T) {
	came := []host.Failure{
		{Message: "Activity task failed", Source: "there", Kind: host.KindActivity, Subject: host.Subject{Type: "a"}},
		{Message: "broken", Source: "there", Kind: host.KindApplication, Type: "Broken", Details: payloads(7)},
	}
	r := start(t, func(ctx Context) error {
		err := ExecuteActivity(soon(ctx), "a").Get(ctx, nil)
		var application *ApplicationError
		var detail int
		if !errors.As(err, &application) || application.Details(&detail) != nil || detail != 7 {
			return errors.New("the cause is lost")
		}
		return fmt.Errorf("around: %w", err)
	})
	r.resume(host.Event{Kind: host.ActivityResolved, Operation: 1, Failure: came})
	failure := r.status.Failure
	if len(failure) != 3 || failure[0].Type != "wrapError" || failure[1].Source != "there" || failure[2].Type != "Broken" {
		t.Errorf("%+v", failure)
	}
}

func TestPayloadsAreThoseOfEveryTemporalSDK(t *testing.T) {
	for value, expected := range map[any][2]string{
		nil:    {encodingNull, ""},
		"text": {encodingJSON, `"text"`},
		7:      {encodingJSON, "7"},
	} {
		payload, err := encode(value)
		if err != nil || metadata(payload, encodingKey) != expected[0] || string(payload.Data) != expected[1] {
			t.Errorf("%v: %+v %v", value, payload, err)
		}
	}
	raw, _ := encode([]byte("raw"))
	var bytes []byte
	if err := decode(raw, &bytes); err != nil || string(bytes) != "raw" {
		t.Errorf("%q %v", bytes, err)
	}
	var number int
	if err := decode(raw, &number); err == nil {
		t.Error("raw bytes were read as a number")
	}
	if err := decode(newPayload("binary/other", nil), &number); err == nil {
		t.Error("an unknown encoding was read")
	}
}
