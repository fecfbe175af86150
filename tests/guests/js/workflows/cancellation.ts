import {
  ActivityCancellationType,
  CancellationScope,
  CancelledFailure,
  condition,
  isCancellation,
  proxyActivities,
  sleep,
  Trigger,
} from '@temporalio/workflow';

import { activities, type Activities } from './acts';

/** Cleans up when it is canceled, and says so. */
export async function CleansUp(): Promise<void> {
  try {
    await sleep('1 day');
  } catch (error) {
    if (!isCancellation(error)) throw error;
    await CancellationScope.nonCancellable(async () => {
      await activities.cleanUp('the first room');
      await activities.cleanUp('the second room');
    });
    throw error;
  }
}

/** Canceled, but it has a result all the same. */
export async function IgnoresCancellation(): Promise<string> {
  try {
    await condition(() => false);
    return 'never';
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

/** A shielded step goes on; the workflow knows of the request meanwhile. */
export async function ShieldedStep(): Promise<string[]> {
  const seen: string[] = [];
  const scope = new CancellationScope({ cancellable: false });
  const step = scope.run(() => activities.add(1, 2));
  const canceled = scope.cancelRequested.catch((error: unknown) => {
    seen.push(`asked to cancel: ${isCancellation(error)}, considered: ${scope.consideredCancelled}`);
  });
  seen.push(`the step gives ${await step}`);
  await canceled;
  return seen;
}

/** Scopes inside scopes, and what reaches which. */
export async function NestedScopes(): Promise<string[]> {
  const seen: string[] = [];
  const note = async (name: string, waiting: Promise<unknown>) => {
    try {
      await waiting;
      seen.push(`${name}: done`);
    } catch (error) {
      seen.push(`${name}: ${(error as Error).name}`);
    }
  };
  const outer = new CancellationScope();
  const all = outer.run(async () => {
    const inner = CancellationScope.cancellable(() => sleep('1 hour'));
    const shielded = CancellationScope.nonCancellable(async () => {
      await sleep(1);
      // Still shielded after the first await.
      await sleep(20);
      seen.push(`cancellable: ${CancellationScope.current().cancellable}`);
    });
    await Promise.all([note('inner', inner), note('shielded', shielded), note('own', sleep('1 hour'))]);
  });
  await sleep(10);
  outer.cancel();
  await all;
  seen.push(`outer: ${outer.consideredCancelled}, here: ${CancellationScope.current().consideredCancelled}`);
  await note('after', outer.run(() => sleep(1)));
  return seen;
}

/** As long as it takes, but no longer than so. */
export async function WithTimeout(ms: number, work: number): Promise<string> {
  try {
    return await CancellationScope.withTimeout(ms, async () => {
      await sleep(work);
      return 'in time';
    });
  } catch (error) {
    return error instanceof CancelledFailure ? 'too late' : 'something else';
  }
}

/** An activity that is canceled with its scope, in each of the ways. */
export async function CanceledActivity(type: ActivityCancellationType): Promise<unknown> {
  const { endless } = proxyActivities<Activities>({
    startToCloseTimeout: '1 minute',
    heartbeatTimeout: '10 seconds',
    cancellationType: type,
  });
  const scope = new CancellationScope();
  const running = scope.run(() => endless());
  await sleep(300);
  scope.cancel();
  try {
    await running;
    return 'completed';
  } catch (error) {
    const { name, message, cause } = error as Error & { cause?: Error };
    return { name, message, cause: cause?.name, isCancellation: isCancellation(error) };
  }
}

/** Whichever is first; the other is given up. */
export async function FirstOfTwo(): Promise<string> {
  const trigger = new Trigger<string>();
  return await CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const slow = sleep('1 hour').then(() => 'slow');
    void sleep(5).then(() => trigger.resolve('fast'));
    const winner = await Promise.race([slow, trigger]);
    scope.cancel();
    const other = await slow.catch((error: Error) => error.name);
    return `${winner} before ${other}`;
  });
}
