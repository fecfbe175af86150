/** What both `@temporalio/workflow` and `@temporalio/common` give. */

export {
  defineSearchAttributeKey,
  SearchAttributeType,
  TypedSearchAttributes,
  type SearchAttributeKey,
  type SearchAttributePair,
  type SearchAttributes,
  type SearchAttributeUpdatePair,
  type SearchAttributeValue,
} from './attributes';
export type { Duration } from './duration';
export {
  ActivityFailure,
  ApplicationFailure,
  ApplicationFailureCategory,
  CancelledFailure,
  ChildWorkflowFailure,
  IllegalStateError,
  NamespaceNotFoundError,
  NexusOperationFailure,
  RetryState,
  rootCause,
  ServerFailure,
  TemporalFailure,
  TerminatedFailure,
  TimeoutFailure,
  TimeoutType,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type ApplicationFailureOptions,
  type WorkflowExecution,
} from './failures';
export type { RetryPolicy } from './options';
export { defaultPayloadConverter, PayloadConverterError, ValueError, type Payload, type PayloadConverter } from './payload';
