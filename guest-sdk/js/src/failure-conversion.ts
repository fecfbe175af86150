/** Errors of JavaScript as failures on the wire, and back. */

import { msOptionalToNumber } from './duration';
import {
  ActivityFailure,
  ApplicationFailure,
  CancelledFailure,
  ChildWorkflowFailure,
  describe,
  ensureTemporalFailure,
  RetryState,
  ServerFailure,
  TemporalFailure,
  TerminatedFailure,
  TimeoutFailure,
  type TimeoutType,
} from './failures';
import type { Failure, FailureKind, FailureLink } from './host';
import { defaultPayloadConverter, fromFirst, fromPayloads, toPayloads } from './payload';
import { mapped } from './stack-trace';

/** What stands in `source` of the failures that this SDK makes. */
const SOURCE = 'mainspring-js';

/** A failure and its causes, outermost first. */
export function errorToFailure(error: unknown): Failure {
  const links: Failure = [];
  let next: unknown = error;
  while (next !== undefined && next !== null) {
    // As in Temporal: an error without a kind is an application failure where it stands first, and has none as a cause.
    const failure = links.length === 0 ? ensureTemporalFailure(next) : next;
    // One that came from the host goes back as it came, with all its causes.
    if (failure instanceof TemporalFailure && failure.failure) return [...links, ...failure.failure];
    links.push(link(failure));
    next = failure instanceof Error ? failure.cause : undefined;
  }
  return links;
}

function link(error: unknown): FailureLink {
  return { message: describe(error).message, source: SOURCE, stackTrace: stackTrace(error), kind: kind(error) };
}

function stackTrace(error: unknown): string {
  const { type, message, stack } = describe(error);
  const frames = mapped(stack);
  const header = `${error instanceof Error ? error.name : (type ?? typeof error)}: ${message}`;
  return frames ? `${header}\n${frames}` : header;
}

function kind(error: unknown): FailureKind {
  if (error instanceof ApplicationFailure) {
    const val = {
      type: error.type ?? '',
      nonRetryable: error.nonRetryable ?? false,
      details: toPayloads(error.details ?? []),
      nextRetryDelay: msOptionalToNumber(error.nextRetryDelay),
    };
    return { tag: 'application', val };
  }
  if (error instanceof CancelledFailure) return { tag: 'canceled', val: toPayloads(error.details ?? []) };
  if (error instanceof TimeoutFailure) {
    const details = error.lastHeartbeatDetails === undefined ? [] : toPayloads([error.lastHeartbeatDetails]);
    return { tag: 'timeout', val: { timeoutType: toCamel(error.timeoutType), lastHeartbeatDetails: details } };
  }
  if (error instanceof TerminatedFailure) return { tag: 'terminated', val: undefined };
  if (error instanceof ServerFailure) return { tag: 'server', val: error.nonRetryable };
  if (error instanceof ActivityFailure) {
    const val = {
      scheduledEventId: 0,
      startedEventId: 0,
      identity: error.identity ?? '',
      activityType: error.activityType,
      activityId: error.activityId ?? '',
      retryState: toCamel(error.retryState),
    };
    return { tag: 'activity', val };
  }
  if (error instanceof ChildWorkflowFailure) {
    const val = {
      namespace: error.namespace ?? '',
      workflowId: error.execution.workflowId ?? '',
      runId: error.execution.runId ?? '',
      workflowType: error.workflowType,
      initiatedEventId: 0,
      startedEventId: 0,
      retryState: toCamel(error.retryState),
    };
    return { tag: 'childWorkflow', val };
  }
  return { tag: 'other', val: undefined };
}

/** An error whose causes are errors as well. */
export function failureToError(failure: Failure): TemporalFailure {
  const [first, ...causes] = failure;
  if (!first) return new TemporalFailure('the failure is empty');
  const cause = causes.length ? failureToError(causes) : undefined;
  const error = fromLink(withEncodedAttributes(first), cause);
  error.stack = first.stackTrace;
  error.failure = failure;
  return error;
}

/** A codec may have hidden message and stack trace. */
function withEncodedAttributes(link: FailureLink): FailureLink {
  if (!link.encodedAttributes) return link;
  const hidden = defaultPayloadConverter.fromPayload<any>(link.encodedAttributes);
  return {
    ...link,
    message: typeof hidden?.message === 'string' ? hidden.message : link.message,
    stackTrace: typeof hidden?.stack_trace === 'string' ? hidden.stack_trace : link.stackTrace,
  };
}

function fromLink({ message, kind }: FailureLink, cause?: Error): TemporalFailure {
  switch (kind.tag) {
    case 'application':
      return new ApplicationFailure(
        message,
        kind.val.type,
        kind.val.nonRetryable,
        fromPayloads(kind.val.details),
        cause,
        kind.val.nextRetryDelay,
      );
    case 'canceled':
      return new CancelledFailure(message, fromPayloads(kind.val), cause);
    case 'timeout': {
      const type = toConstant(kind.val.timeoutType) as TimeoutType;
      return new TimeoutFailure(message, fromFirst(kind.val.lastHeartbeatDetails), type);
    }
    case 'terminated':
      return new TerminatedFailure(message, cause);
    case 'server':
      return new ServerFailure(message, kind.val, cause);
    case 'activity': {
      const { activityType, activityId, retryState, identity } = kind.val;
      return new ActivityFailure(message, activityType, activityId, toRetryState(retryState), identity, cause);
    }
    case 'childWorkflow': {
      const { namespace, workflowId, runId, workflowType, retryState } = kind.val;
      const execution = { workflowId, runId };
      return new ChildWorkflowFailure(namespace, execution, workflowType, toRetryState(retryState), cause);
    }
    default:
      return new TemporalFailure(message, cause);
  }
}

function toRetryState(state: string): RetryState {
  return (state === 'unspecified' ? undefined : toConstant(state)) as RetryState;
}

/** `startToClose` as `START_TO_CLOSE`. */
function toConstant(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** `START_TO_CLOSE` as `startToClose`. */
export function toCamel(name: string | undefined): string {
  return (name ?? 'UNSPECIFIED').toLowerCase().replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}
