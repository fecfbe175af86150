/** What the run knows of itself. */

import { searchAttributesFromHost, type SearchAttributes, type TypedSearchAttributes } from './attributes';
import { failureToError } from './failure-conversion';
import { host } from './host';
import { retryPolicyFromHost, type RetryPolicy } from './options';
import { fromFirst, mapFromPayloads } from './payload';
import { theRun } from './run';

export interface UnsafeWorkflowInfo {
  /** Always the workflow's own clock: nothing in the sandbox can read another. */
  readonly now: () => number;
  /** Always false: a module cannot tell a replay from the first time. */
  readonly isReplaying: boolean;
  readonly isReplayingHistoryEvents: boolean;
}

export interface ParentWorkflowInfo {
  workflowId: string;
  runId: string;
  namespace: string;
}

export interface RootWorkflowInfo {
  workflowId: string;
  runId: string;
}

export interface WorkflowInfo {
  readonly workflowId: string;
  readonly runId: string;
  readonly workflowType: string;
  readonly searchAttributes: SearchAttributes;
  readonly typedSearchAttributes: TypedSearchAttributes;
  readonly memo?: Record<string, unknown>;
  /** The workflow that started this one as its child. */
  readonly parent?: ParentWorkflowInfo;
  /** The workflow at the top of the family. */
  readonly root?: RootWorkflowInfo;
  readonly lastResult?: unknown;
  readonly lastFailure?: Error;
  /** Events so far, as of this workflow task. */
  readonly historyLength: number;
  readonly historySize: number;
  readonly continueAsNewSuggested: boolean;
  readonly taskQueue: string;
  readonly namespace: string;
  readonly firstExecutionRunId: string;
  readonly continuedFromExecutionRunId?: string;
  readonly startTime: Date;
  readonly runStartTime: Date;
  readonly executionTimeoutMs?: number;
  readonly executionExpirationTime?: Date;
  readonly runTimeoutMs?: number;
  readonly taskTimeoutMs: number;
  readonly retryPolicy?: RetryPolicy;
  readonly attempt: number;
  readonly unsafe: UnsafeWorkflowInfo;
}

type Changeable = Pick<WorkflowInfo, 'searchAttributes' | 'typedSearchAttributes' | 'memo'>;

let known: WorkflowInfo | undefined;

export function workflowInfo(): WorkflowInfo {
  theRun('Workflow.workflowInfo(...)');
  // Read when it is first asked for: many a workflow never does.
  return (known ??= read());
}

export function changeInfo(changes: Partial<Changeable>): void {
  const properties = Object.getOwnPropertyDescriptors(workflowInfo());
  known = Object.assign(Object.defineProperties({}, properties), changes) as WorkflowInfo;
}

function read(): WorkflowInfo {
  const info = host.info();
  const { untyped, typed } = searchAttributesFromHost(info.searchAttributes);
  const startTime = new Date(Math.floor(info.startTime));
  return {
    workflowId: info.workflowId,
    runId: info.runId,
    workflowType: info.workflowType,
    searchAttributes: untyped,
    typedSearchAttributes: typed,
    memo: mapFromPayloads(info.memo),
    parent: info.parent && { ...info.parent.execution, namespace: info.parent.namespace },
    root: info.root,
    lastResult: fromFirst(info.lastCompletionResult),
    lastFailure: info.lastFailure && failureToError(info.lastFailure),
    get historyLength() {
      return host.history().length;
    },
    get historySize() {
      return host.history().sizeBytes;
    },
    get continueAsNewSuggested() {
      return host.history().continueAsNewSuggested;
    },
    taskQueue: info.taskQueue,
    namespace: info.namespace,
    firstExecutionRunId: info.firstExecutionRunId,
    continuedFromExecutionRunId: info.continuedExecutionRunId,
    startTime,
    runStartTime: startTime,
    executionTimeoutMs: info.executionTimeout,
    runTimeoutMs: info.runTimeout,
    taskTimeoutMs: info.taskTimeout ?? 10_000,
    retryPolicy: retryPolicyFromHost(info.retryPolicy),
    attempt: info.attempt,
    unsafe: { now: () => Date.now(), isReplaying: false, isReplayingHistoryEvents: false },
  };
}
