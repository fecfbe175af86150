/** What the engine calls: the exports of `wit/`, as far as they are JavaScript's. */

import './context';
import './globals';
import { optionsOf, type Workflow } from './definitions';
import { failureToError } from './failure-conversion';
import { ApplicationFailure, describe, WorkflowExecutionAlreadyStartedError } from './failures';
import type { Event, Failure, Payload, Result, Status } from './host';
import { answerQuery, rejectUpdatesWithoutHandler, signalReceived, updateRequested, warnOfUnfinishedHandlers } from './messages';
import { fromFirst, fromPayloads, toPayloads } from './payload';
import { beginRun, theRun } from './run';
import { mapped, setSourceMap } from './stack-trace';

const workflows = new Map<string, Workflow>();

/** The functions that the author's module exports are its workflows. */
function register(module: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'function' || name === 'default') continue;
    if (/^class\b/.test(Function.prototype.toString.call(value))) continue;
    workflows.set(name, value as Workflow);
  }
}

function start(workflowType: string, input: Payload[]): void {
  const run = beginRun();
  const workflow = workflows.get(workflowType);
  if (!workflow) {
    throw new ReferenceError(
      `this module has no workflow type ${JSON.stringify(workflowType)}; it has ${[...workflows.keys()].join(', ')}`,
    );
  }
  run.failureExceptionTypes = optionsOf(workflow).failureExceptionTypes ?? [];
  let args: unknown[];
  try {
    args = read(input);
  } catch (error) {
    run.fail(error);
    return;
  }
  const main = async () => toPayloads([await workflow(...args)]);
  main().then(
    (result) => run.complete(result),
    (error) => run.fail(error),
  );
}

function read(input: Payload[]): unknown[] {
  return input.map((_, index) => {
    try {
      return fromPayloads(input.slice(index, index + 1))[0];
    } catch (error) {
      const message = `argument ${index + 1}: ${(error as Error).message}`;
      throw ApplicationFailure.nonRetryable(message, 'PayloadConversionError');
    }
  });
}

function resume(events: Event[]): void {
  events.forEach(apply);
}

function apply(event: Event): void {
  const run = theRun('an event');
  switch (event.tag) {
    case 'activityResolved':
    case 'childResolved':
      settled(event.val[0], event.val[1]);
      break;
    case 'timerFired':
      run.takePending(event.val)?.resolve(undefined);
      break;
    case 'childStarted': {
      const [child, begun] = event.val;
      if (begun.tag === 'ok') {
        run.pending.get(child)?.begun?.(begun.val);
      } else {
        run.takePending(child)?.reject(couldNotBegin(begun.val));
      }
      break;
    }
    case 'externalResolved': {
      const [operation, failure] = event.val;
      const pending = run.takePending(operation);
      if (failure) {
        pending?.reject(failureToError(failure));
      } else {
        pending?.resolve(undefined);
      }
      break;
    }
    case 'signalReceived':
      signalReceived(event.val);
      break;
    case 'updateRequested':
      updateRequested(event.val);
      break;
    case 'cancelRequested':
      run.cancelReason = event.val;
      run.rootScope.cancel();
      break;
  }
}

function settled(operation: number, result: Result<Payload[], Failure>): void {
  const pending = theRun('an event').takePending(operation);
  if (!pending) return;
  if (result.tag === 'err') {
    pending.reject(failureToError(result.val));
    return;
  }
  try {
    pending.resolve(fromFirst(result.val));
  } catch (error) {
    pending.reject(ApplicationFailure.nonRetryable(`the result: ${(error as Error).message}`, 'PayloadConversionError'));
  }
}

/** Temporal's TypeScript SDK has a word of its own for an id that is taken. */
function couldNotBegin(failure: Failure): Error {
  const error = failureToError(failure);
  const [outer, cause] = failure;
  const taken = cause?.kind.tag === 'application' && cause.kind.val.type === 'WorkflowExecutionAlreadyStarted';
  if (outer?.kind.tag === 'childWorkflow') {
    const { workflowId, workflowType } = outer.kind.val;
    if (taken) {
      return new WorkflowExecutionAlreadyStartedError('Workflow execution already started', workflowId, workflowType);
    }
  }
  return error;
}

/**
 * Called when no job is left: undefined where something moved by that, or else where the run stands. The reasons are
 * those of promises that were rejected and that nobody handles.
 */
function settle(unhandled: unknown[]): Status | undefined {
  const run = theRun('an activation');
  if (run.unblockConditions()) return undefined;
  rejectUpdatesWithoutHandler();
  const status = run.status(unhandled);
  if (status.tag !== 'blocked' && status.tag !== 'failed') warnOfUnfinishedHandlers();
  return status;
}

/** What the host is told of an error that fails the workflow task: a message, and fields that OpenTelemetry named. */
function describeError(error: unknown): [string, [string, string][]] {
  const { type, message, stack } = describe(error);
  const name = error instanceof Error ? error.name : (type ?? typeof error);
  return [
    `${name}: ${message}`,
    [
      ['exception.type', type ?? name],
      ['exception.message', message],
      ['exception.stacktrace', `${name}: ${message}\n${mapped(stack)}`],
    ],
  ];
}

export const guest = {
  register,
  setSourceMap,
  get workflowTypes() {
    return [...workflows.keys()];
  },
  start,
  resume,
  settle,
  answerQuery,
  describeError,
};
export type Guest = typeof guest;
