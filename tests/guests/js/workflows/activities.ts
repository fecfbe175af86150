import {
  ActivityFailure,
  ApplicationFailure,
  proxyActivities,
  proxyLocalActivities,
  scheduleActivity,
  TimeoutFailure,
} from '@temporalio/workflow';

import { activities, type Activities } from './acts';

/** The first workflow of every tutorial. */
export async function Greeting(name: string): Promise<string> {
  return await activities.greet(name);
}

/** One after the other, and all at once. */
export async function Sums(numbers: number[]): Promise<{ total: number; doubled: number[] }> {
  let total = 0;
  for (const number of numbers) total = await activities.add(total, number);
  const doubled = await Promise.all(numbers.map((number) => activities.add(number, number)));
  return { total, doubled };
}

/** Tried until it succeeds. */
export async function Retried(failures: number): Promise<number> {
  return await activities.flaky(failures);
}

/** What is said of an activity that gives up. */
export async function DeclinedActivity(reason: string): Promise<unknown> {
  const once = proxyActivities<Activities>({
    startToCloseTimeout: 10_000,
    retry: { nonRetryableErrorTypes: ['Declined'] },
  });
  try {
    await once.decline(reason);
    return 'not declined';
  } catch (error) {
    if (!(error instanceof ActivityFailure)) throw error;
    const { cause } = error;
    if (!(cause instanceof ApplicationFailure)) throw error;
    return {
      activityType: error.activityType,
      retryState: error.retryState,
      message: error.message,
      cause: { name: cause.name, type: cause.type, message: cause.message, nonRetryable: cause.nonRetryable, details: cause.details },
      isError: error instanceof Error && cause instanceof Error,
    };
  }
}

/** Nobody is there to take it in time. */
export async function TimedOutActivity(): Promise<unknown> {
  const { nobody } = proxyActivities<{ nobody(): Promise<void> }>({
    taskQueue: 'a-queue-that-nobody-polls',
    scheduleToStartTimeout: '200 ms',
    startToCloseTimeout: '1 minute',
  });
  try {
    await nobody();
    return 'not timed out';
  } catch (error) {
    if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure) {
      return [error.retryState, error.cause.timeoutType, error.cause.message];
    }
    throw error;
  }
}

/** By its name only, and with other options than the proxy's. */
export async function ByName(name: string): Promise<string[]> {
  const first = await scheduleActivity<string>('greet', [name], { scheduleToCloseTimeout: '1m' });
  const { greet } = proxyLocalActivities<Activities>({ startToCloseTimeout: '10 seconds' });
  void greet;
  const second = await activities.greet.executeWithOptions({ startToCloseTimeout: '5s', summary: 'again' }, [name]);
  return [first, second];
}
