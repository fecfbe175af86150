/** Activities: calls to code outside the sandbox, run by workers with Temporal's own SDKs. */

import { timeout, type Duration } from './duration';
import { toCamel } from './failure-conversion';
import type { ActivityRecord } from './host';
import { retryPolicyToHost, type RetryPolicy } from './options';
import { toPayloads } from './payload';
import { theRun } from './run';

export const ActivityCancellationType = {
  /** Ask the activity to stop, and throw at once. */
  TRY_CANCEL: 'TRY_CANCEL',
  /** Ask the activity to stop, and throw when it has answered. */
  WAIT_CANCELLATION_COMPLETED: 'WAIT_CANCELLATION_COMPLETED',
  /** Ask nothing, and throw at once. */
  ABANDON: 'ABANDON',
} as const;
export type ActivityCancellationType = (typeof ActivityCancellationType)[keyof typeof ActivityCancellationType];

/** How an activity is to be run. One of `startToCloseTimeout` and `scheduleToCloseTimeout` must be given. */
export interface ActivityOptions {
  activityId?: string;
  taskQueue?: string;
  heartbeatTimeout?: Duration;
  retry?: RetryPolicy;
  startToCloseTimeout?: Duration;
  scheduleToStartTimeout?: Duration;
  scheduleToCloseTimeout?: Duration;
  cancellationType?: ActivityCancellationType;
  summary?: string;
  /** Read and left alone: the server decides. */
  allowEagerDispatch?: boolean;
  versioningIntent?: unknown;
  priority?: unknown;
  eventGroups?: unknown[];
}

export interface LocalActivityOptions {
  retry?: RetryPolicy;
  startToCloseTimeout?: Duration;
  scheduleToStartTimeout?: Duration;
  scheduleToCloseTimeout?: Duration;
  /** Read and left alone: see `proxyLocalActivities`. */
  localRetryThreshold?: Duration;
  cancellationType?: ActivityCancellationType;
  summary?: string;
  eventGroups?: unknown[];
}

export interface ActivityFunction<P extends any[] = any[], R = any> {
  (...args: P): Promise<R>;
}
export type UntypedActivities = Record<string, ActivityFunction>;
export type ActivityInterface = Record<string, ActivityFunction>;

export type ActivityFunctionWithOptions<T extends ActivityFunction, O = ActivityOptions> = T & {
  /** Calls the activity with other options than those of the proxy. */
  executeWithOptions(options: O, args: Parameters<T>): Promise<Awaited<ReturnType<T>>>;
};
export type ActivityInterfaceFor<T> = {
  [K in keyof T]: T[K] extends ActivityFunction ? ActivityFunctionWithOptions<T[K]> : never;
};
export type LocalActivityInterfaceFor<T> = {
  [K in keyof T]: T[K] extends ActivityFunction ? ActivityFunctionWithOptions<T[K], LocalActivityOptions> : never;
};

export function scheduleActivity<R>(activityType: string, args: any[], options?: ActivityOptions): Promise<R> {
  const run = theRun('Workflow.scheduleActivity(...)');
  const record = toHost(options ?? {});
  const input = toPayloads(args);
  return run.operation<R>(
    'schedule an activity',
    `activity ${activityType}`,
    (host) => host.scheduleActivity(activityType, input, record),
    // Its resolution follows as an event.
    (activity) => run.command('cancel an activity', (host) => host.cancelActivity(activity)),
  ).promise;
}

/** See `proxyLocalActivities`. */
export function scheduleLocalActivity<R>(activityType: string, args: any[], options: LocalActivityOptions): Promise<R> {
  const { localRetryThreshold: _, ...rest } = options;
  return scheduleActivity(activityType, args, rest);
}

function toHost(options: ActivityOptions): ActivityRecord {
  if (options.startToCloseTimeout == null && options.scheduleToCloseTimeout == null) {
    throw new TypeError('Required either scheduleToCloseTimeout or startToCloseTimeout');
  }
  return {
    activityId: options.activityId,
    taskQueue: options.taskQueue,
    scheduleToCloseTimeout: timeout('scheduleToCloseTimeout', options.scheduleToCloseTimeout),
    scheduleToStartTimeout: timeout('scheduleToStartTimeout', options.scheduleToStartTimeout),
    startToCloseTimeout: timeout('startToCloseTimeout', options.startToCloseTimeout),
    heartbeatTimeout: timeout('heartbeatTimeout', options.heartbeatTimeout),
    retryPolicy: retryPolicyToHost(options.retry),
    cancellationType: toCamel(options.cancellationType ?? 'TRY_CANCEL') as ActivityRecord['cancellationType'],
    header: [],
    summary: options.summary,
  };
}

/** Functions that call the activities of their names, which anybody may serve: only the types are needed here. */
export function proxyActivities<A = UntypedActivities>(options: ActivityOptions): ActivityInterfaceFor<A> {
  if (options === undefined) throw new TypeError('options must be defined');
  // Here, and not at the first call: a mistake in options belongs where they are written.
  toHost(options);
  return proxy(options, scheduleActivity);
}

/**
 * The same for local activities. Their code is on a worker and not in this module, so they are scheduled like any other
 * activity: the results are the same, the history is not.
 */
export function proxyLocalActivities<A = UntypedActivities>(options: LocalActivityOptions): LocalActivityInterfaceFor<A> {
  if (options === undefined) throw new TypeError('options must be defined');
  return proxy(options, scheduleLocalActivity);
}

function proxy<O>(options: O, schedule: (type: string, args: any[], options: O) => Promise<unknown>): any {
  const known = new Map<string, unknown>();
  return new Proxy(
    {},
    {
      get(_, activityType) {
        if (typeof activityType !== 'string') return undefined;
        let activity = known.get(activityType);
        if (!activity) {
          activity = Object.assign((...args: unknown[]) => schedule(activityType, args, options), {
            executeWithOptions: (other: Partial<O>, args: unknown[]) =>
              schedule(activityType, args, { ...options, ...other }),
          });
          known.set(activityType, activity);
        }
        return activity;
      },
    },
  );
}
