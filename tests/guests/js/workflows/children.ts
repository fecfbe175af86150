import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ChildWorkflowCancellationType,
  ChildWorkflowFailure,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  executeChild,
  getExternalWorkflowHandle,
  isCancellation,
  makeContinueAsNewFunc,
  ParentClosePolicy,
  setHandler,
  sleep,
  startChild,
  ApplicationFailure,
  workflowInfo,
} from '@temporalio/workflow';

import { activities } from './acts';

export async function Child(name: string): Promise<string> {
  return `child ${await activities.greet(name)}`;
}

/** Several at once, by function and by name. */
export async function Parent(names: string[]): Promise<string> {
  const parts = await Promise.all(names.map((name) => executeChild(Child, { args: [name] })));
  parts.push(await executeChild('Child', { args: ['by name'] }));
  return parts.join('; ');
}

const add = defineSignal<[number]>('add');
const total = defineQuery<number>('total');

/** Adds up what it is sent until it is enough. */
export async function Accumulator(enough: number): Promise<number> {
  let sum = 0;
  setHandler(add, (number) => {
    sum += number;
  });
  setHandler(total, () => sum);
  await condition(() => sum >= enough);
  return sum;
}

/** Starts a child, talks to it by its handle and by its id, and waits for it. */
export async function TalksToChild(): Promise<unknown> {
  const child = await startChild(Accumulator, { args: [6], parentClosePolicy: ParentClosePolicy.TERMINATE });
  await child.signal(add, 1);
  await child.signal('add', 2);
  const external = getExternalWorkflowHandle(child.workflowId, child.firstExecutionRunId);
  await external.signal(add, 3);
  return { result: await child.result(), hasRunId: child.firstExecutionRunId.length === 36 };
}

export async function FailingChild(): Promise<void> {
  throw ApplicationFailure.create({ type: 'Broken', message: 'the child is broken', details: [{ code: 7 }], nonRetryable: true });
}

/** What a parent learns of a child that fails. */
export async function ParentOfFailing(): Promise<unknown> {
  try {
    await executeChild(FailingChild, { workflowId: `${workflowInfo().workflowId}/child` });
    return 'did not fail';
  } catch (error) {
    if (!(error instanceof ChildWorkflowFailure)) throw error;
    const cause = error.cause as ApplicationFailure;
    return {
      message: error.message,
      workflowType: error.workflowType,
      workflowId: error.execution.workflowId === `${workflowInfo().workflowId}/child`,
      retryState: error.retryState,
      cause: [cause.name, cause.type, cause.message, cause.nonRetryable, cause.details],
    };
  }
}

/** Two children cannot have one id. */
export async function TakenId(): Promise<unknown> {
  const workflowId = `${workflowInfo().workflowId}/one`;
  const first = await startChild(Accumulator, { args: [1], workflowId });
  try {
    await startChild(Accumulator, { args: [1], workflowId });
    return 'started twice';
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    await first.signal(add, 1);
    return [error.name, error.workflowType, error.workflowId === workflowId, await first.result()];
  }
}

export async function Sleeper(): Promise<string> {
  await sleep('1 hour');
  return 'slept';
}

/** A child that is canceled with its scope. */
export async function CanceledChild(type: ChildWorkflowCancellationType): Promise<unknown> {
  const scope = new CancellationScope();
  const child = await scope.run(() => startChild(Sleeper, { cancellationType: type }));
  const result = child.result();
  scope.cancel();
  try {
    return await result;
  } catch (error) {
    return [(error as Error).name, ((error as Error).cause as Error)?.name, isCancellation(error)];
  }
}

/** Asks another workflow to cancel, and learns that one is not there. */
export async function CancelsOther(): Promise<unknown> {
  const child = await startChild(Sleeper);
  await getExternalWorkflowHandle(child.workflowId).cancel();
  const canceled = await child.result().catch((error: unknown) => isCancellation(error));
  const missing = await getExternalWorkflowHandle('no-such-workflow')
    .signal('add')
    .catch((error: Error) => error.constructor.name);
  return { canceled, missing };
}

/** Goes on in new runs, with a count and a memo. */
export async function Countdown(count: number, seen: number[] = []): Promise<unknown> {
  if (count === 0) return { seen, memo: workflowInfo().memo };
  if (count % 2) {
    await makeContinueAsNewFunc<typeof Countdown>({ memo: { from: count } })(count - 1, [...seen, count]);
  }
  return await continueAsNew<typeof Countdown>(count - 1, [...seen, count]);
}
