// Package enums has the enumerations of temporal.api.enums.v1 that workflow code meets, with the numbers that they have
// there.
package enums

import "fmt"

func name(names []string, value int32) string {
	if value >= 0 && int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprint(value)
}

// ParentClosePolicy says what becomes of a child that is still running when its parent has closed.
type ParentClosePolicy int32

const (
	PARENT_CLOSE_POLICY_UNSPECIFIED    ParentClosePolicy = 0
	PARENT_CLOSE_POLICY_TERMINATE      ParentClosePolicy = 1
	PARENT_CLOSE_POLICY_ABANDON        ParentClosePolicy = 2
	PARENT_CLOSE_POLICY_REQUEST_CANCEL ParentClosePolicy = 3
)

func (p ParentClosePolicy) String() string {
	return name([]string{"Unspecified", "Terminate", "Abandon", "RequestCancel"}, int32(p))
}

// WorkflowIdReusePolicy says whether a closed workflow of the same id is in the way.
type WorkflowIdReusePolicy int32

const (
	WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED                 WorkflowIdReusePolicy = 0
	WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE             WorkflowIdReusePolicy = 1
	WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY WorkflowIdReusePolicy = 2
	WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE            WorkflowIdReusePolicy = 3
	WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING        WorkflowIdReusePolicy = 4
)

func (p WorkflowIdReusePolicy) String() string {
	return name([]string{"Unspecified", "AllowDuplicate", "AllowDuplicateFailedOnly", "RejectDuplicate", "TerminateIfRunning"}, int32(p))
}

// TimeoutType says which timeout passed.
type TimeoutType int32

const (
	TIMEOUT_TYPE_UNSPECIFIED       TimeoutType = 0
	TIMEOUT_TYPE_START_TO_CLOSE    TimeoutType = 1
	TIMEOUT_TYPE_SCHEDULE_TO_START TimeoutType = 2
	TIMEOUT_TYPE_SCHEDULE_TO_CLOSE TimeoutType = 3
	TIMEOUT_TYPE_HEARTBEAT         TimeoutType = 4
)

func (t TimeoutType) String() string {
	return name([]string{"Unspecified", "StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat"}, int32(t))
}

// RetryState says why something that failed was not tried again.
type RetryState int32

const (
	RETRY_STATE_UNSPECIFIED              RetryState = 0
	RETRY_STATE_IN_PROGRESS              RetryState = 1
	RETRY_STATE_NON_RETRYABLE_FAILURE    RetryState = 2
	RETRY_STATE_TIMEOUT                  RetryState = 3
	RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED RetryState = 4
	RETRY_STATE_RETRY_POLICY_NOT_SET     RetryState = 5
	RETRY_STATE_INTERNAL_SERVER_ERROR    RetryState = 6
	RETRY_STATE_CANCEL_REQUESTED         RetryState = 7
)

func (s RetryState) String() string {
	return name([]string{"Unspecified", "InProgress", "NonRetryableFailure", "Timeout", "MaximumAttemptsReached", "RetryPolicyNotSet", "InternalServerError", "CancelRequested"}, int32(s))
}

// IndexedValueType is the type of a search attribute.
type IndexedValueType int32

const (
	INDEXED_VALUE_TYPE_UNSPECIFIED  IndexedValueType = 0
	INDEXED_VALUE_TYPE_TEXT         IndexedValueType = 1
	INDEXED_VALUE_TYPE_KEYWORD      IndexedValueType = 2
	INDEXED_VALUE_TYPE_INT          IndexedValueType = 3
	INDEXED_VALUE_TYPE_DOUBLE       IndexedValueType = 4
	INDEXED_VALUE_TYPE_BOOL         IndexedValueType = 5
	INDEXED_VALUE_TYPE_DATETIME     IndexedValueType = 6
	INDEXED_VALUE_TYPE_KEYWORD_LIST IndexedValueType = 7
)

func (t IndexedValueType) String() string {
	return name([]string{"Unspecified", "Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList"}, int32(t))
}

// WorkflowIdConflictPolicy is for clients; it is here so that code which names it compiles.
type WorkflowIdConflictPolicy int32

const (
	WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED        WorkflowIdConflictPolicy = 0
	WORKFLOW_ID_CONFLICT_POLICY_FAIL               WorkflowIdConflictPolicy = 1
	WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING       WorkflowIdConflictPolicy = 2
	WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING WorkflowIdConflictPolicy = 3
)
