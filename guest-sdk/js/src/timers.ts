/** Time: timers, and waiting for a condition. */

import { CancellationScope } from './cancellation-scope';
import { handled } from './context';
import { msToNumber, type Duration } from './duration';
import { theRun } from './run';

export interface TimerOptions {
  /** One line for people, shown by the CLI and the UI. */
  readonly summary?: string;
  readonly eventGroups?: unknown[];
}

function startTimer(ms: number, options?: TimerOptions): Promise<void> {
  const run = theRun('Workflow.sleep(...)');
  return run.operation<void>(
    'start a timer',
    `a timer of ${ms} ms`,
    (host) => host.startTimer(Math.max(1, ms), options?.summary),
    (timer, reject, error) => {
      run.command('cancel a timer', (host) => host.cancelTimer(timer));
      // No event follows.
      reject(error);
    },
  ).promise;
}

/** Waits as long as it says, even where the server is restarted meanwhile. */
export function sleep(ms: Duration, options?: TimerOptions): Promise<void> {
  return startTimer(msToNumber(ms), options);
}

/** Waits until the function gives true. It is asked whenever something has moved, and may change nothing. */
export function condition(fn: () => boolean, timeout: Duration, options?: TimerOptions): Promise<boolean>;
export function condition(fn: () => boolean): Promise<void>;
export function condition(fn: () => boolean, timeout?: Duration, options?: TimerOptions): Promise<void | boolean> {
  theRun('Workflow.condition(...)').changes('wait for a condition');
  if (timeout === undefined) return until(fn);
  return CancellationScope.cancellable(async () => {
    try {
      return await Promise.race([sleep(timeout, options).then(() => false), until(fn).then(() => true)]);
    } finally {
      CancellationScope.current().cancel();
    }
  });
}

function until(holds: () => boolean): Promise<void> {
  const run = theRun('Workflow.condition(...)');
  const scope = CancellationScope.current();
  return new Promise((resolve, reject) => {
    if (scope.consideredCancelled) {
      reject(scope.cancellation);
    } else if (holds()) {
      resolve();
    } else {
      const condition = { holds, met: () => (forget(), resolve()) };
      const forget = scope.onCancel((error) => {
        run.conditions.delete(condition);
        reject(error);
      });
      run.conditions.add(condition);
    }
  });
}

const timeouts = new Map<number, CancellationScope>();
let lastTimeout = 0;

/** The global `setTimeout`: a durable timer like any other. */
export function setTimeout(callback: (...args: any[]) => unknown, ms = 0, ...args: unknown[]): number {
  theRun('setTimeout(...)');
  const handle = ++lastTimeout;
  const scope = new CancellationScope({ cancellable: true });
  const slept = scope.run(() => startTimer(Number(ms) || 0)).then(
    () => {
      timeouts.delete(handle);
      callback(...args);
    },
    () => void timeouts.delete(handle),
  );
  // What the callback throws is a mistake in the code, and nobody can catch it.
  slept.catch((error) => theRun('setTimeout(...)').failTask(error));
  handled(slept);
  timeouts.set(handle, scope);
  return handle;
}

export function clearTimeout(handle?: number): void {
  const scope = timeouts.get(handle ?? 0);
  timeouts.delete(handle ?? 0);
  scope?.cancel();
}
