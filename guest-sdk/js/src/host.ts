/**
 * What the engine gives: the imports of `wit/`, in the shapes that `engine/src/convert.rs` describes. Durations and
 * points in time are milliseconds.
 */

export interface Payload {
  metadata?: Record<string, Uint8Array> | null;
  data?: Uint8Array | null;
}

export type Tagged<Tag extends string, Value = undefined> = { tag: Tag; val: Value };
export type Result<T, E> = Tagged<'ok', T> | Tagged<'err', E>;
export type Pairs<T> = [string, T][];

export interface RetryPolicyRecord {
  initialInterval?: number;
  backoffCoefficient: number;
  maximumInterval?: number;
  maximumAttempts: number;
  nonRetryableErrorTypes: string[];
}

export type FailureKind =
  | Tagged<'application', { type: string; nonRetryable: boolean; details: Payload[]; nextRetryDelay?: number }>
  | Tagged<'timeout', { timeoutType: string; lastHeartbeatDetails: Payload[] }>
  | Tagged<'canceled', Payload[]>
  | Tagged<'terminated'>
  | Tagged<'server', boolean>
  | Tagged<'activity', ActivityFailureRecord>
  | Tagged<'childWorkflow', ChildWorkflowFailureRecord>
  | Tagged<'other'>;

export interface ActivityFailureRecord {
  scheduledEventId: number;
  startedEventId: number;
  identity: string;
  activityType: string;
  activityId: string;
  retryState: string;
}

export interface ChildWorkflowFailureRecord {
  namespace: string;
  workflowId: string;
  runId: string;
  workflowType: string;
  initiatedEventId: number;
  startedEventId: number;
  retryState: string;
}

export interface FailureLink {
  message: string;
  source: string;
  stackTrace: string;
  kind: FailureKind;
  encodedAttributes?: Payload;
}

/** A failure and its causes, outermost first. */
export type Failure = FailureLink[];

export interface ActivityRecord {
  activityId?: string;
  taskQueue?: string;
  scheduleToCloseTimeout?: number;
  scheduleToStartTimeout?: number;
  startToCloseTimeout?: number;
  heartbeatTimeout?: number;
  retryPolicy?: RetryPolicyRecord;
  cancellationType: 'tryCancel' | 'waitCancellationCompleted' | 'abandon';
  header: Pairs<Payload>;
  summary?: string;
}

export interface ChildRecord {
  workflowId?: string;
  taskQueue?: string;
  executionTimeout?: number;
  runTimeout?: number;
  taskTimeout?: number;
  retryPolicy?: RetryPolicyRecord;
  parentClosePolicy: 'terminate' | 'abandon' | 'requestCancel';
  workflowIdReusePolicy: 'allowDuplicate' | 'allowDuplicateFailedOnly' | 'rejectDuplicate';
  cancellationType: 'abandon' | 'tryCancel' | 'waitCancellationCompleted' | 'waitCancellationRequested';
  memo: Pairs<Payload>;
  searchAttributes: Pairs<Payload>;
  header: Pairs<Payload>;
  summary?: string;
  details?: string;
}

export interface ExecutionRecord {
  workflowId: string;
  runId: string;
}

export interface InfoRecord {
  namespace: string;
  workflowId: string;
  runId: string;
  firstExecutionRunId: string;
  continuedExecutionRunId?: string;
  parent?: { namespace: string; execution: ExecutionRecord };
  root?: ExecutionRecord;
  workflowType: string;
  taskQueue: string;
  attempt: number;
  startTime: number;
  executionTimeout?: number;
  runTimeout?: number;
  taskTimeout?: number;
  retryPolicy?: RetryPolicyRecord;
  memo: Pairs<Payload>;
  searchAttributes: Pairs<Payload>;
  header: Pairs<Payload>;
  lastCompletionResult: Payload[];
  lastFailure?: Failure;
}

export interface SignalRecord {
  name: string;
  input: Payload[];
  identity: string;
  header: Pairs<Payload>;
}

export interface UpdateRecord extends SignalRecord {
  number: number;
  id: string;
  runValidator: boolean;
}

export interface QueryRecord {
  name: string;
  args: Payload[];
  header: Pairs<Payload>;
}

export type Event =
  | Tagged<'activityResolved', [number, Result<Payload[], Failure>]>
  | Tagged<'timerFired', number>
  | Tagged<'signalReceived', SignalRecord>
  | Tagged<'cancelRequested', string>
  | Tagged<'childStarted', [number, Result<string, Failure>]>
  | Tagged<'childResolved', [number, Result<Payload[], Failure>]>
  | Tagged<'externalResolved', [number, Failure | undefined]>
  | Tagged<'updateRequested', UpdateRecord>;

export interface ContinuationRecord {
  workflowType?: string;
  taskQueue?: string;
  input: Payload[];
  runTimeout?: number;
  taskTimeout?: number;
  retryPolicy?: RetryPolicyRecord;
  memo?: Pairs<Payload>;
  searchAttributes?: Pairs<Payload>;
  header: Pairs<Payload>;
}

export type Status =
  | Tagged<'blocked'>
  | Tagged<'completed', Payload[]>
  | Tagged<'failed', Failure>
  | Tagged<'canceled', Payload[]>
  | Tagged<'continuedAsNew', ContinuationRecord>;

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

export interface Host {
  now(): number;
  randomBytes(len: number): Uint8Array;
  startTimer(after: number, summary?: string): number;
  cancelTimer(timer: number): void;
  scheduleActivity(activityType: string, input: Payload[], options: ActivityRecord): number;
  cancelActivity(activity: number): void;
  startChild(workflowType: string, input: Payload[], options: ChildRecord): number;
  cancelChild(child: number): void;
  signalWorkflow(
    target: Tagged<'child', number> | Tagged<'execution', [string, string]>,
    name: string,
    input: Payload[],
    header: Pairs<Payload>,
  ): number;
  cancelSignal(signal: number): void;
  requestCancel(workflowId: string, runId: string, reason: string): number;
  acceptUpdate(update: number): void;
  rejectUpdate(update: number, reason: Failure): void;
  completeUpdate(update: number, outcome: Result<Payload[], Failure>): void;
  upsertMemo(fields: Pairs<Payload | undefined>): void;
  upsertSearchAttributes(fields: Pairs<Payload | undefined>): void;
  patched(id: string): boolean;
  deprecatePatch(id: string): void;
  recordMarker(name: string, details: Pairs<Payload[]>, failure?: Failure): void;
  info(): InfoRecord;
  history(): { length: number; sizeBytes: number; continueAsNewSuggested: boolean };
  log(level: LogLevel, message: string, fields: Pairs<string>): void;
  encodeText(text: string): Uint8Array;
  /** Undefined where the bytes are no UTF-8 and `fatal` is true. */
  decodeText(bytes: Uint8Array, fatal: boolean): string | undefined;
}

const engine = globalThis as { __mainspring_host?: Host };

export const host: Host = engine.__mainspring_host as Host;
// A workflow's own code has no business with it.
delete engine.__mainspring_host;
