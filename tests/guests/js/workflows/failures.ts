import { ApplicationFailure, CancelledFailure, setWorkflowOptions, sleep, TemporalFailure } from '@temporalio/workflow';

import { activities } from './acts';

/** Fails as it is told. */
export async function FailsWith(type: string, nonRetryable: boolean, ...details: unknown[]): Promise<void> {
  const cause = new RangeError('the cause');
  throw ApplicationFailure.create({ type, message: `failed with ${type}`, nonRetryable, details, cause });
}

/** An activity's failure that nobody catches is the workflow's. */
export async function ActivityFailurePasses(): Promise<void> {
  await activities.decline('passes');
}

/** Retried by the policy that it is started with. */
export async function FailsOnce(): Promise<string> {
  const { workflowInfo } = await import('@temporalio/workflow');
  const { attempt, lastFailure } = workflowInfo();
  if (attempt === 1) throw ApplicationFailure.retryable('the first attempt', 'First');
  return `attempt ${attempt} after ${(lastFailure as ApplicationFailure | undefined)?.type}`;
}

class BusinessError extends Error {}

/** An error of the author's own class that is said to fail the workflow. */
export async function OwnErrorFails(): Promise<void> {
  await sleep(1);
  throw new BusinessError('out of stock');
}
setWorkflowOptions({ failureExceptionTypes: [BusinessError] }, OwnErrorFails);

/** What the classes say of each other. */
export async function FailureClasses(): Promise<unknown[]> {
  const failure = ApplicationFailure.nonRetryable('message', 'Type', 1, 'two');
  const wrapped = ApplicationFailure.fromError(new SyntaxError('bad'), { nonRetryable: true });
  const canceled = new CancelledFailure('stop', ['details'], failure);
  return [
    failure instanceof TemporalFailure,
    failure instanceof CancelledFailure,
    failure.name,
    [failure.message, failure.type, failure.nonRetryable, failure.details],
    [wrapped.message, wrapped.type, wrapped.nonRetryable],
    [canceled.name, canceled.details, (canceled.cause as Error).name],
    String(failure),
  ];
}
