/** What a workflow imports as `@temporalio/workflow`. */

export * from './common-exports';
export {
  ActivityCancellationType,
  proxyActivities,
  proxyLocalActivities,
  scheduleActivity,
  scheduleLocalActivity,
  type ActivityFunction,
  type ActivityFunctionWithOptions,
  type ActivityInterface,
  type ActivityInterfaceFor,
  type ActivityOptions,
  type LocalActivityInterfaceFor,
  type LocalActivityOptions,
  type UntypedActivities,
} from './activities';
export { upsertMemo, upsertSearchAttributes } from './attributes';
export { CancellationScope, type CancellationScopeOptions } from './cancellation-scope';
export {
  ChildWorkflowCancellationType,
  executeChild,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
  type BaseWorkflowHandle,
  type ChildWorkflowHandle,
  type ChildWorkflowOptions,
  type ExternalWorkflowHandle,
  type WithWorkflowArgs,
} from './children';
export { AsyncLocalStorage } from './context';
export { continueAsNew, makeContinueAsNewFunc, type ContinueAsNewOptions } from './continue-as-new';
export {
  defineQuery,
  defineSignal,
  defineUpdate,
  HandlerUnfinishedPolicy,
  setWorkflowOptions,
  type QueryDefinition,
  type SignalDefinition,
  type UpdateDefinition,
  type Workflow,
  type WorkflowDefinitionOptions,
  type WorkflowQueryType,
  type WorkflowResultType,
  type WorkflowReturnType,
  type WorkflowSignalType,
} from './definitions';
export { DeterminismViolationError, isCancellation, WorkflowError } from './failures';
export {
  workflowInfo,
  type ParentWorkflowInfo,
  type RootWorkflowInfo,
  type UnsafeWorkflowInfo,
  type WorkflowInfo,
} from './info';
export { log, proxySinks, type LoggerSinks, type Sink, type SinkFunction, type Sinks, type WorkflowLogger } from './log';
export {
  allHandlersFinished,
  currentUpdateInfo,
  setDefaultQueryHandler,
  setDefaultSignalHandler,
  setDefaultUpdateHandler,
  setHandler,
  type DefaultQueryHandler,
  type DefaultSignalHandler,
  type DefaultUpdateHandler,
  type Handler,
  type QueryHandlerOptions,
  type SignalHandlerOptions,
  type UpdateHandlerOptions,
  type UpdateValidator,
} from './messages';
export { getCurrentDetails, setCurrentDetails } from './metadata';
export { uuid4 } from './random';
export { ContinueAsNew, inWorkflowContext, type UpdateInfo } from './run';
export { condition, sleep, type TimerOptions } from './timers';
export { Trigger } from './trigger';
export { deprecatePatch, patched } from './versioning';

import { defineQuery } from './definitions';
export const stackTraceQuery = defineQuery<string>('__stack_trace');
export const workflowMetadataQuery = defineQuery<unknown>('__temporal_workflow_metadata');
