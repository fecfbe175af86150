/** The types by which a workflow, its signals, queries and updates are named. */

export type WorkflowReturnType = Promise<any>;
export type Workflow = (...args: any[]) => WorkflowReturnType;
export type WorkflowResultType<W extends Workflow> = ReturnType<W> extends Promise<infer R> ? R : never;

declare const argsBrand: unique symbol;
declare const retBrand: unique symbol;

export interface SignalDefinition<Args extends any[] = [], Name extends string = string> {
  type: 'signal';
  name: Name;
  [argsBrand]: Args;
}

export interface QueryDefinition<Ret, Args extends any[] = [], Name extends string = string> {
  type: 'query';
  name: Name;
  [argsBrand]: Args;
  [retBrand]: Ret;
}

export interface UpdateDefinition<Ret, Args extends any[] = [], Name extends string = string> {
  type: 'update';
  name: Name;
  [argsBrand]: Args;
  [retBrand]: Ret;
}

export type WorkflowSignalType = (...args: any[]) => Promise<void> | void;
export type WorkflowQueryType = (...args: any[]) => any;
export type WorkflowUpdateType = (...args: any[]) => Promise<any> | any;
export type WorkflowUpdateValidatorType = (...args: any[]) => void;

/** What happens to a handler that is still running when the workflow ends: it ends as well. */
export const HandlerUnfinishedPolicy = {
  /** And a warning is logged, as this is usually a mistake. */
  WARN_AND_ABANDON: 'WARN_AND_ABANDON',
  /** And that is as it should be. */
  ABANDON: 'ABANDON',
} as const;
export type HandlerUnfinishedPolicy = (typeof HandlerUnfinishedPolicy)[keyof typeof HandlerUnfinishedPolicy];

export function defineSignal<Args extends any[] = [], Name extends string = string>(
  name: Name,
): SignalDefinition<Args, Name> {
  return { type: 'signal', name } as SignalDefinition<Args, Name>;
}

export function defineQuery<Ret, Args extends any[] = [], Name extends string = string>(
  name: Name,
): QueryDefinition<Ret, Args, Name> {
  return { type: 'query', name } as QueryDefinition<Ret, Args, Name>;
}

export function defineUpdate<Ret, Args extends any[] = [], Name extends string = string>(
  name: Name,
): UpdateDefinition<Ret, Args, Name> {
  return { type: 'update', name } as UpdateDefinition<Ret, Args, Name>;
}

export type VersioningBehavior = 'PINNED' | 'AUTO_UPGRADE';
export const VersioningBehavior = { PINNED: 'PINNED', AUTO_UPGRADE: 'AUTO_UPGRADE' } as const;

export interface WorkflowDefinitionOptions {
  /** Read and left alone: a run stays with the module that it began with. */
  versioningBehavior?: VersioningBehavior;
  /** Errors besides Temporal's own that fail the workflow instead of its task. */
  failureExceptionTypes?: (new (...args: any[]) => Error)[];
}
export type WorkflowDefinitionOptionsOrGetter = WorkflowDefinitionOptions | (() => WorkflowDefinitionOptions);

/** Says how the workflow is to be run. */
export function setWorkflowOptions<A extends any[], R>(
  options: WorkflowDefinitionOptionsOrGetter,
  fn: (...args: A) => Promise<R>,
): void {
  Object.assign(fn, { workflowDefinitionOptions: options });
}

export function optionsOf(fn: Workflow): WorkflowDefinitionOptions {
  const options = (fn as { workflowDefinitionOptions?: WorkflowDefinitionOptionsOrGetter }).workflowDefinitionOptions;
  return (typeof options === 'function' ? options() : options) ?? {};
}

/** The type of a workflow that is given by its name or as the function itself. */
export function typeOf(workflow: string | Workflow): string {
  if (typeof workflow === 'string') return workflow;
  if (typeof workflow === 'function' && workflow.name) return workflow.name;
  throw new TypeError('Invalid workflow type: expected its name or its function');
}
