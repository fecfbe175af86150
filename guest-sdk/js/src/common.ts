/** What a workflow imports as `@temporalio/common`. */

export * from './common-exports';
export {
  ActivityCancellationType,
  type ActivityFunction,
  type ActivityInterface,
  type ActivityOptions,
  type LocalActivityOptions,
  type UntypedActivities,
} from './activities';
export { WorkflowIdReusePolicy } from './children';
export {
  HandlerUnfinishedPolicy,
  VersioningBehavior,
  type QueryDefinition,
  type SignalDefinition,
  type UpdateDefinition,
  type Workflow,
  type WorkflowDefinitionOptions,
  type WorkflowResultType,
  type WorkflowReturnType,
} from './definitions';
export { ensureApplicationFailure, ensureTemporalFailure } from './failures';
export { retryPolicyToHost as compileRetryPolicy } from './options';
export { RawValue, decode as str, encode as u8 } from './payload';
export { msOptionalToNumber, msToNumber } from './duration';

export function errorMessage(error: unknown): string | undefined {
  return error instanceof Error ? error.message : typeof error === 'string' ? error : undefined;
}
