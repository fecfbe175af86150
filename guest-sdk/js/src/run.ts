/** The run of this instance: what waits, what is to be told to the host, and how it ends. */

import { AsyncLocalStorage } from './context';
import { CancellationScope, RootCancellationScope } from './cancellation-scope';
import { DeterminismViolationError, IllegalStateError, isCancellation, TemporalFailure } from './failures';
import { errorToFailure } from './failure-conversion';
import { host, type ContinuationRecord, type Host, type Payload, type Status } from './host';

/** How an operation that the host knows by a number ends. */
export interface Pending {
  /** For people. */
  what: string;
  resolve(value: any): void;
  reject(error: unknown): void;
  /** The run id of a child that has begun. */
  begun?(runId: string): void;
}

interface Condition {
  holds(): boolean;
  met(): void;
}

type ReadOnly = 'a query handler' | 'an update validator';

/** Thrown to go on in a new run. */
export class ContinueAsNew extends Error {
  constructor(readonly command: ContinuationRecord) {
    super('Workflow continued as new');
    this.name = 'ContinueAsNew';
  }
}

export interface UpdateInfo {
  readonly id: string;
  readonly name: string;
}

class Run {
  readonly rootScope = new RootCancellationScope();
  readonly pending = new Map<number, Pending>();
  readonly conditions = new Set<Condition>();
  readonly update = new AsyncLocalStorage<UpdateInfo>();
  cancelReason: string | undefined;
  currentDetails = '';
  /** Errors besides Temporal's own that fail the workflow instead of its task. */
  failureExceptionTypes: readonly (new (...args: any[]) => Error)[] = [];
  private outcome: Status | undefined;
  private readOnly: ReadOnly | undefined;
  private taskError: { error: unknown } | undefined;

  get closed(): boolean {
    return this.outcome !== undefined;
  }

  /** Checks that something may change now. */
  changes(action: string): void {
    if (this.readOnly) {
      throw new DeterminismViolationError(`${this.readOnly} tried to ${action}: it may only read, and change nothing`);
    }
  }

  /** Tells the host to do something, unless the run has ended: then there is nobody to do it for. */
  command<T>(action: string, command: (host: Host) => T): T | undefined {
    this.changes(action);
    return this.closed ? undefined : command(host);
  }

  /** Runs code that may change nothing. */
  reading<T>(what: ReadOnly, body: () => T): T {
    const outer = this.readOnly;
    this.readOnly = what;
    try {
      return body();
    } finally {
      this.readOnly = outer;
    }
  }

  /**
   * Something that the host starts and tells the end of. Where the current scope is canceled it is not started; where
   * the run has ended, nobody learns how it ends.
   */
  operation<T>(
    action: string,
    what: string,
    start: (host: Host) => number,
    cancel: (operation: number, reject: (error: unknown) => void, error: unknown) => void,
    begun?: (runId: string) => void,
  ): { promise: Promise<T>; number: number | undefined } {
    const scope = CancellationScope.current();
    let number: number | undefined;
    const promise = new Promise<T>((resolve, reject) => {
      this.changes(action);
      if (scope.consideredCancelled) {
        reject(scope.cancellation);
        return;
      }
      const started = this.command(action, start);
      if (started === undefined) return;
      number = started;
      const forget = scope.onCancel((error) => {
        const rejectNow = (reason: unknown) => {
          if (this.pending.delete(started)) reject(reason);
        };
        // After the end the host is told nothing more.
        if (!this.closed) cancel(started, rejectNow, error);
      });
      this.pending.set(started, {
        what,
        resolve: (value) => (forget(), resolve(value)),
        reject: (error) => (forget(), reject(error)),
        begun,
      });
    });
    return { promise, number };
  }

  /** The end of an operation, once; one that was given up may be told of as well. */
  takePending(number: number): Pending | undefined {
    const pending = this.pending.get(number);
    this.pending.delete(number);
    return pending;
  }

  /** Whether a condition has become true since the last time. */
  unblockConditions(): boolean {
    let moved = false;
    for (const condition of this.conditions) {
      if (condition.holds()) {
        this.conditions.delete(condition);
        condition.met();
        moved = true;
      }
    }
    return moved;
  }

  complete(result: Payload[]): void {
    this.outcome ??= { tag: 'completed', val: result };
  }

  /** An error of the workflow's own code, be it the main function or a handler. */
  fail(error: unknown): void {
    if (error instanceof ContinueAsNew) {
      this.outcome ??= { tag: 'continuedAsNew', val: error.command };
    } else if (this.cancelReason !== undefined && isCancellation(error)) {
      this.outcome ??= { tag: 'canceled', val: [] };
    } else if (this.failsWorkflow(error)) {
      this.outcome ??= { tag: 'failed', val: errorToFailure(error) };
    } else {
      this.failTask(error);
    }
  }

  private failsWorkflow(error: unknown): boolean {
    return error instanceof TemporalFailure || this.failureExceptionTypes.some((type) => error instanceof type);
  }

  /** A mistake in the code: the workflow task fails, and is tried again, perhaps with code that is mended. */
  failTask(error: unknown): void {
    this.taskError ??= { error };
  }

  /** Where the run stands when nothing can move any more. Throws where its task fails. */
  status(unhandled: readonly unknown[]): Status {
    if (this.taskError) throw this.taskError.error;
    // As in Temporal: what nobody catches is a mistake in the code.
    if (unhandled.length > 0) throw unhandled[0];
    return this.outcome ?? { tag: 'blocked', val: undefined };
  }
}

let current: Run | undefined;

export function beginRun(): Run {
  current = new Run();
  return current;
}

/** The run, or undefined while the module is being loaded. */
export function maybeRun(): Run | undefined {
  return current;
}

/** Throws where no run is going on. */
export function theRun(what: string): Run {
  if (!current) {
    throw new IllegalStateError(`${what} may only be used from a Workflow Execution, not while its module is loaded.`);
  }
  return current;
}

export function inWorkflowContext(): boolean {
  return current !== undefined;
}
