/** Child workflows, and other workflows that this one can reach. */

import { CancellationScope } from './cancellation-scope';
import { handled } from './context';
import { typeOf, type SignalDefinition, type Workflow, type WorkflowResultType } from './definitions';
import { timeout, type Duration } from './duration';
import { toCamel } from './failure-conversion';
import type { ChildRecord, Host, Payload } from './host';
import { retryPolicyToHost, type RetryPolicy } from './options';
import { mapToPayloads, toPayloads } from './payload';
import { uuid4 } from './random';
import { theRun } from './run';
import { searchAttributesToHost, type SearchAttributePair, type SearchAttributes, TypedSearchAttributes } from './attributes';

export const ChildWorkflowCancellationType = {
  /** Ask nothing, and throw at once. */
  ABANDON: 'ABANDON',
  /** Ask the child to cancel, and throw at once. */
  TRY_CANCEL: 'TRY_CANCEL',
  /** Ask the child to cancel, and throw once the request has reached it. */
  WAIT_CANCELLATION_REQUESTED: 'WAIT_CANCELLATION_REQUESTED',
  /** Ask the child to cancel, and throw when it has closed. */
  WAIT_CANCELLATION_COMPLETED: 'WAIT_CANCELLATION_COMPLETED',
} as const;
export type ChildWorkflowCancellationType =
  (typeof ChildWorkflowCancellationType)[keyof typeof ChildWorkflowCancellationType];

/** What becomes of a child that is still running when its parent has closed. */
export const ParentClosePolicy = {
  TERMINATE: 'TERMINATE',
  ABANDON: 'ABANDON',
  REQUEST_CANCEL: 'REQUEST_CANCEL',
  PARENT_CLOSE_POLICY_UNSPECIFIED: undefined,
  PARENT_CLOSE_POLICY_TERMINATE: 'TERMINATE',
  PARENT_CLOSE_POLICY_ABANDON: 'ABANDON',
  PARENT_CLOSE_POLICY_REQUEST_CANCEL: 'REQUEST_CANCEL',
} as const;
export type ParentClosePolicy = (typeof ParentClosePolicy)[keyof typeof ParentClosePolicy];

/** Whether a closed workflow with the same id stands in the way. */
export const WorkflowIdReusePolicy = {
  ALLOW_DUPLICATE: 'ALLOW_DUPLICATE',
  ALLOW_DUPLICATE_FAILED_ONLY: 'ALLOW_DUPLICATE_FAILED_ONLY',
  REJECT_DUPLICATE: 'REJECT_DUPLICATE',
} as const;
export type WorkflowIdReusePolicy = (typeof WorkflowIdReusePolicy)[keyof typeof WorkflowIdReusePolicy];

export interface ChildWorkflowOptions {
  /** A random UUID unless given. */
  workflowId?: string;
  taskQueue?: string;
  workflowExecutionTimeout?: Duration;
  workflowRunTimeout?: Duration;
  workflowTaskTimeout?: Duration;
  retry?: RetryPolicy;
  cancellationType?: ChildWorkflowCancellationType;
  parentClosePolicy?: ParentClosePolicy;
  workflowIdReusePolicy?: WorkflowIdReusePolicy;
  memo?: Record<string, unknown>;
  searchAttributes?: SearchAttributes;
  typedSearchAttributes?: SearchAttributePair[] | TypedSearchAttributes;
  staticSummary?: string;
  staticDetails?: string;
  versioningIntent?: unknown;
  priority?: unknown;
  eventGroups?: unknown[];
}

export type WithWorkflowArgs<W extends Workflow, T> = T &
  (Parameters<W> extends [any, ...any] ? { args: Readonly<Parameters<W>> } : { args?: Readonly<Parameters<W>> });

export interface BaseWorkflowHandle<T extends Workflow> {
  result(): Promise<WorkflowResultType<T>>;
  /** Resolves when the signal has been delivered, which is before it is handled. */
  signal<Args extends any[] = [], Name extends string = string>(
    def: SignalDefinition<Args, Name> | string,
    ...args: Args
  ): Promise<void>;
  readonly workflowId: string;
}

export interface ChildWorkflowHandle<T extends Workflow> extends BaseWorkflowHandle<T> {
  /** The child's first run. */
  readonly firstExecutionRunId: string;
}

export interface ExternalWorkflowHandle {
  signal<Args extends any[] = [], Name extends string = string>(
    def: SignalDefinition<Args, Name> | string,
    ...args: Args
  ): Promise<void>;
  /** Asks it to cancel; resolves when the request has reached it. */
  cancel(): Promise<void>;
  readonly workflowId: string;
  readonly runId?: string;
}

/** Starts a child; resolves when it has begun. */
export async function startChild<T extends Workflow>(
  workflow: string | T,
  options?: WithWorkflowArgs<T, ChildWorkflowOptions>,
): Promise<ChildWorkflowHandle<T>> {
  const child = start(workflow, options);
  const firstExecutionRunId = await child.started;
  return {
    workflowId: child.workflowId,
    firstExecutionRunId,
    result: () => child.completed,
    signal: (def, ...args) => signal({ tag: 'child', val: child.operation! }, def, args),
  };
}

/** Starts a child and waits for its result. */
export async function executeChild<T extends Workflow>(
  workflow: string | T,
  options?: WithWorkflowArgs<T, ChildWorkflowOptions>,
): Promise<WorkflowResultType<T>> {
  const child = start(workflow, options);
  await child.started;
  return await child.completed;
}

interface Child {
  workflowId: string;
  operation: number | undefined;
  started: Promise<string>;
  completed: Promise<any>;
}

function start(workflow: string | Workflow, given: (ChildWorkflowOptions & { args?: readonly unknown[] }) | undefined): Child {
  const run = theRun('Workflow.startChild(...)');
  const options = given ?? {};
  const workflowType = typeOf(workflow);
  const workflowId = options.workflowId ?? uuid4();
  const record = toHost(workflowId, options);
  const input = toPayloads(options.args ?? []);
  let begun!: (runId: string) => void;
  const began = new Promise<string>((resolve) => (begun = resolve));
  const { promise, number } = run.operation<any>(
    'start a child workflow',
    `child workflow ${workflowType} (${workflowId})`,
    (host) => host.startChild(workflowType, input, record),
    (child) => run.command('cancel a child workflow', (host) => host.cancelChild(child)),
    begun,
  );
  // Its failure belongs to whoever asks for the result; before it has begun, to whoever waits for that.
  handled(promise);
  const failedBefore = promise.then(() => began);
  return { workflowId, operation: number, started: Promise.race([began, failedBefore]), completed: promise };
}

function toHost(workflowId: string, options: ChildWorkflowOptions): ChildRecord {
  return {
    workflowId,
    taskQueue: options.taskQueue,
    executionTimeout: timeout('workflowExecutionTimeout', options.workflowExecutionTimeout),
    runTimeout: timeout('workflowRunTimeout', options.workflowRunTimeout),
    taskTimeout: timeout('workflowTaskTimeout', options.workflowTaskTimeout),
    retryPolicy: retryPolicyToHost(options.retry),
    parentClosePolicy: toCamel(options.parentClosePolicy ?? 'TERMINATE') as ChildRecord['parentClosePolicy'],
    workflowIdReusePolicy: toCamel(
      options.workflowIdReusePolicy ?? 'ALLOW_DUPLICATE',
    ) as ChildRecord['workflowIdReusePolicy'],
    cancellationType: toCamel(
      options.cancellationType ?? 'WAIT_CANCELLATION_COMPLETED',
    ) as ChildRecord['cancellationType'],
    memo: mapToPayloads(options.memo),
    searchAttributes: searchAttributesToHost(options.searchAttributes, options.typedSearchAttributes).filter(
      (pair): pair is [string, Payload] => pair[1] !== undefined,
    ),
    header: [],
    summary: options.staticSummary,
    details: options.staticDetails,
  };
}

/** A workflow that somebody else started, to signal it or to ask it to cancel. */
export function getExternalWorkflowHandle(workflowId: string, runId?: string): ExternalWorkflowHandle {
  theRun('Workflow.getExternalWorkflowHandle(...)');
  return {
    workflowId,
    runId,
    signal: (def, ...args) => signal({ tag: 'execution', val: [workflowId, runId ?? ''] }, def, args),
    cancel() {
      const run = theRun('ExternalWorkflowHandle.cancel(...)');
      // It cannot be taken back, and goes out even where the scope is canceled.
      return CancellationScope.nonCancellable(
        () =>
          run.operation<void>(
            'cancel a workflow',
            `a request to cancel workflow ${workflowId}`,
            (host) => host.requestCancel(workflowId, runId ?? '', ''),
            () => undefined,
          ).promise,
      );
    },
  };
}

function signal(
  target: Parameters<Host['signalWorkflow']>[0],
  def: SignalDefinition<any> | string,
  args: unknown[],
): Promise<void> {
  const run = theRun('WorkflowHandle.signal(...)');
  const name = typeof def === 'string' ? def : def.name;
  const input = toPayloads(args);
  return run.operation<void>(
    'signal a workflow',
    `signal ${name} to another workflow`,
    (host) => host.signalWorkflow(target, name, input, []),
    (operation) => run.command('take back a signal', (host) => host.cancelSignal(operation)),
  ).promise;
}
