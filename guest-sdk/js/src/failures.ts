/** Temporal's failures: what went wrong, of which kind, and what caused it. */

import type { Duration } from './duration';
import type { Failure } from './host';

/**
 * Gives a class its name, and makes `instanceof` go by the name: a bundle may hold the class twice.
 */
export function named(name: string, ...classes: (abstract new (...args: any[]) => Error)[]): void {
  const symbol = Symbol.for(`__temporal_is${name}`);
  for (const it of classes) {
    Object.defineProperty(it.prototype, 'name', { value: name, configurable: true, writable: true });
    Object.defineProperty(it.prototype, symbol, { value: true });
    Object.defineProperty(it, Symbol.hasInstance, {
      value(this: unknown, error: unknown): boolean {
        // A class that somebody derives from it inherits this, and has no mark of its own.
        if (this === it) return typeof error === 'object' && error !== null && (error as any)[symbol] === true;
        return Function.prototype[Symbol.hasInstance].call(this, error);
      },
    });
  }
}

export const TimeoutType = {
  START_TO_CLOSE: 'START_TO_CLOSE',
  SCHEDULE_TO_START: 'SCHEDULE_TO_START',
  SCHEDULE_TO_CLOSE: 'SCHEDULE_TO_CLOSE',
  HEARTBEAT: 'HEARTBEAT',
} as const;
export type TimeoutType = (typeof TimeoutType)[keyof typeof TimeoutType];

export const RetryState = {
  IN_PROGRESS: 'IN_PROGRESS',
  NON_RETRYABLE_FAILURE: 'NON_RETRYABLE_FAILURE',
  TIMEOUT: 'TIMEOUT',
  MAXIMUM_ATTEMPTS_REACHED: 'MAXIMUM_ATTEMPTS_REACHED',
  RETRY_POLICY_NOT_SET: 'RETRY_POLICY_NOT_SET',
  INTERNAL_SERVER_ERROR: 'INTERNAL_SERVER_ERROR',
  CANCEL_REQUESTED: 'CANCEL_REQUESTED',
} as const;
export type RetryState = (typeof RetryState)[keyof typeof RetryState];

export const ApplicationFailureCategory = { BENIGN: 'BENIGN' } as const;
export type ApplicationFailureCategory = (typeof ApplicationFailureCategory)[keyof typeof ApplicationFailureCategory];

export interface WorkflowExecution {
  workflowId?: string | null;
  runId?: string | null;
}

/** A failure that Temporal has a word for. Thrown out of a workflow it fails the workflow; other errors fail its task. */
export class TemporalFailure extends Error {
  /** As it came from the host, so that it goes back the same. */
  failure?: Failure;

  constructor(message?: string | null, override readonly cause?: Error) {
    super(message ?? undefined);
  }
}

export class ServerFailure extends TemporalFailure {
  constructor(message: string | undefined, readonly nonRetryable: boolean, cause?: Error) {
    super(message, cause);
  }
}

export interface ApplicationFailureOptions {
  message?: string;
  type?: string;
  nonRetryable?: boolean;
  details?: unknown[];
  nextRetryDelay?: Duration;
  cause?: Error;
  category?: ApplicationFailureCategory;
}

/** A failure of somebody's own making, told by its type. */
export class ApplicationFailure extends TemporalFailure {
  constructor(
    message?: string | null,
    readonly type?: string | null,
    readonly nonRetryable?: boolean | null,
    readonly details?: unknown[] | null,
    cause?: Error,
    readonly nextRetryDelay?: Duration | null,
    readonly category?: ApplicationFailureCategory | null,
  ) {
    super(message, cause);
  }

  static create(options: ApplicationFailureOptions): ApplicationFailure {
    const { message, type, nonRetryable = false, details, nextRetryDelay, cause, category } = options;
    return new this(message, type, nonRetryable, details, cause, nextRetryDelay, category);
  }

  static retryable(message?: string | null, type?: string | null, ...details: unknown[]): ApplicationFailure {
    return new this(message, type ?? 'Error', false, details);
  }

  static nonRetryable(message?: string | null, type?: string | null, ...details: unknown[]): ApplicationFailure {
    return new this(message, type ?? 'Error', true, details);
  }

  static fromError(error: unknown, overrides?: ApplicationFailureOptions): ApplicationFailure {
    return Object.assign(ensureApplicationFailure(error), overrides);
  }
}

export class CancelledFailure extends TemporalFailure {
  constructor(message: string | undefined, readonly details: unknown[] = [], cause?: Error) {
    super(message, cause);
  }
}

export class TerminatedFailure extends TemporalFailure {
  constructor(message: string | undefined, cause?: Error) {
    super(message, cause);
  }
}

export class TimeoutFailure extends TemporalFailure {
  constructor(message: string | undefined, readonly lastHeartbeatDetails: unknown, readonly timeoutType: TimeoutType) {
    super(message);
  }
}

/** An activity failed; its cause says why. */
export class ActivityFailure extends TemporalFailure {
  constructor(
    message: string | undefined,
    readonly activityType: string,
    readonly activityId: string | undefined,
    readonly retryState: RetryState,
    readonly identity: string | undefined,
    cause?: Error,
  ) {
    super(message, cause);
  }
}

/** A child workflow failed; its cause says why. */
export class ChildWorkflowFailure extends TemporalFailure {
  constructor(
    readonly namespace: string | undefined,
    readonly execution: WorkflowExecution,
    readonly workflowType: string,
    readonly retryState: RetryState,
    cause?: Error,
  ) {
    super('Child Workflow execution failed', cause);
  }
}

/** There is no such thing here; the class exists, so that code which asks for it compiles. */
export class NexusOperationFailure extends TemporalFailure {}

export class WorkflowExecutionAlreadyStartedError extends TemporalFailure {
  constructor(message: string, readonly workflowId: string, readonly workflowType: string) {
    super(message);
  }
}

/** Something was called where it cannot work. */
export class IllegalStateError extends Error {}
export class WorkflowNotFoundError extends Error {
  constructor(message: string, readonly workflowId: string, readonly runId: string | undefined) {
    super(message);
  }
}
export class NamespaceNotFoundError extends WorkflowNotFoundError {}
export class WorkflowError extends Error {}
/** The workflow did what nobody could repeat. */
export class DeterminismViolationError extends WorkflowError {}

named('TemporalFailure', TemporalFailure);
named('ServerFailure', ServerFailure);
named('ApplicationFailure', ApplicationFailure);
named('CancelledFailure', CancelledFailure);
named('TerminatedFailure', TerminatedFailure);
named('TimeoutFailure', TimeoutFailure);
named('ActivityFailure', ActivityFailure);
named('ChildWorkflowFailure', ChildWorkflowFailure);
named('NexusOperationFailure', NexusOperationFailure);
named('WorkflowExecutionAlreadyStartedError', WorkflowExecutionAlreadyStartedError);
named('IllegalStateError', IllegalStateError);
named('WorkflowNotFoundError', WorkflowNotFoundError);
named('NamespaceNotFoundError', NamespaceNotFoundError);
named('WorkflowError', WorkflowError);
named('DeterminismViolationError', DeterminismViolationError);

/** Whether the error says that something was canceled: itself, or the activity or child that it speaks of. */
export function isCancellation(error: unknown): boolean {
  if (error instanceof CancelledFailure) return true;
  const wraps =
    error instanceof ActivityFailure || error instanceof ChildWorkflowFailure || error instanceof NexusOperationFailure;
  return wraps && error.cause instanceof CancelledFailure;
}

/** Any error as an application failure, whose type is the name of its class. */
export function ensureApplicationFailure(error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  const { type, message, stack } = describe(error);
  const cause = isRecord(error) && error.cause instanceof Error ? error.cause : undefined;
  const failure = ApplicationFailure.create({ message, type, cause });
  failure.stack = stack;
  return failure;
}

export function ensureTemporalFailure(error: unknown): TemporalFailure {
  return error instanceof TemporalFailure ? error : ensureApplicationFailure(error);
}

/** The message of the innermost cause. */
export function rootCause(error: unknown): string | undefined {
  if (error instanceof TemporalFailure) return error.cause ? rootCause(error.cause) : error.message;
  if (error instanceof Error) return error.message;
  return typeof error === 'string' ? error : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Of whatever was thrown. */
export function describe(error: unknown): { type?: string; message: string; stack: string } {
  if (!isRecord(error)) return { message: String(error), stack: '' };
  return {
    type: error.constructor?.name || (error.name as string | undefined),
    message: error.message ? String(error.message) : String(error),
    stack: error.stack ? String(error.stack) : '',
  };
}
