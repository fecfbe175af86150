/** Signals, queries and updates: what others say to the workflow, and ask it. */

import {
  HandlerUnfinishedPolicy,
  type QueryDefinition,
  type SignalDefinition,
  type UpdateDefinition,
  type WorkflowQueryType,
  type WorkflowSignalType,
  type WorkflowUpdateType,
  type WorkflowUpdateValidatorType,
} from './definitions';
import { errorToFailure } from './failure-conversion';
import { ApplicationFailure, DeterminismViolationError, TemporalFailure } from './failures';
import { host, type Failure, type Payload, type QueryRecord, type Result, type SignalRecord, type UpdateRecord } from './host';
import { log } from './log';
import { builtInQueries } from './metadata';
import { fromPayloads, toPayloads } from './payload';
import { theRun, type UpdateInfo } from './run';

export type Handler<
  Ret,
  Args extends any[],
  T extends UpdateDefinition<Ret, Args> | QueryDefinition<Ret, Args> | SignalDefinition<Args>,
> =
  T extends UpdateDefinition<infer R, infer A>
    ? (...args: A) => R | Promise<R>
    : T extends QueryDefinition<infer R, infer A>
      ? (...args: A) => R
      : T extends SignalDefinition<infer A>
        ? (...args: A) => void | Promise<void>
        : never;

export type DefaultSignalHandler = (signalName: string, ...args: unknown[]) => void | Promise<void>;
export type DefaultUpdateHandler = (updateName: string, ...args: unknown[]) => Promise<unknown> | unknown;
export type DefaultQueryHandler = (queryName: string, ...args: unknown[]) => unknown;
export type UpdateValidator<Args extends any[]> = (...args: Args) => void;
export type QueryHandlerOptions = { description?: string };
export type SignalHandlerOptions = { description?: string; unfinishedPolicy?: HandlerUnfinishedPolicy };
export type UpdateHandlerOptions<Args extends any[]> = {
  validator?: UpdateValidator<Args>;
  unfinishedPolicy?: HandlerUnfinishedPolicy;
  description?: string;
};

interface Registered<F> {
  handler: F;
  description?: string;
  unfinishedPolicy: HandlerUnfinishedPolicy;
  validator?: WorkflowUpdateValidatorType;
}

const signals = new Map<string, Registered<WorkflowSignalType>>();
const queries = new Map<string, Registered<WorkflowQueryType>>();
const updates = new Map<string, Registered<WorkflowUpdateType>>();
let defaultSignal: DefaultSignalHandler | undefined;
let defaultQuery: DefaultQueryHandler | undefined;
let defaultUpdate: DefaultUpdateHandler | undefined;
/** Those for which there was no handler yet. */
const keptSignals: SignalRecord[] = [];
const keptUpdates: UpdateRecord[] = [];

interface Running {
  name: string;
  /** Of an update. */
  id?: string;
  unfinishedPolicy: HandlerUnfinishedPolicy;
}
const running = new Set<Running>();

function checkName(name: string): void {
  if (name.startsWith('__temporal') || name === '__stack_trace' || name === '__enhanced_stack_trace') {
    throw new TypeError(`Cannot use the name '${name}': it is kept for what is built in`);
  }
}

/** Registers a handler, or takes one away. What came before for that name is handed to it. */
export function setHandler<Ret, Args extends any[], T extends QueryDefinition<Ret, Args>>(
  def: T,
  handler: Handler<Ret, Args, T> | undefined,
  options?: QueryHandlerOptions,
): void;
export function setHandler<Ret, Args extends any[], T extends SignalDefinition<Args>>(
  def: T,
  handler: Handler<Ret, Args, T> | undefined,
  options?: SignalHandlerOptions,
): void;
export function setHandler<Ret, Args extends any[], T extends UpdateDefinition<Ret, Args>>(
  def: T,
  handler: Handler<Ret, Args, T> | undefined,
  options?: UpdateHandlerOptions<Args>,
): void;
export function setHandler(
  def: { type: string; name: string },
  handler: ((...args: any[]) => any) | undefined,
  options?: { description?: string; unfinishedPolicy?: HandlerUnfinishedPolicy; validator?: (...args: any[]) => void },
): void {
  theRun('Workflow.setHandler(...)').changes('register a handler');
  checkName(def.name);
  const registry: Map<string, Registered<any>> | undefined = { signal: signals, query: queries, update: updates }[def.type];
  if (!registry) throw new TypeError(`Invalid definition type: ${def.type}`);
  if (handler === undefined || handler === null) {
    registry.delete(def.name);
    return;
  }
  if (typeof handler !== 'function') throw new TypeError(`Expected handler to be a function or undefined, got ${typeof handler}`);
  registry.set(def.name, {
    handler,
    description: options?.description,
    validator: options?.validator,
    unfinishedPolicy: options?.unfinishedPolicy ?? HandlerUnfinishedPolicy.WARN_AND_ABANDON,
  });
  handOut();
}

export function setDefaultSignalHandler(handler: DefaultSignalHandler | undefined): void {
  theRun('Workflow.setDefaultSignalHandler(...)').changes('register a signal handler');
  defaultSignal = handler;
  handOut();
}

export function setDefaultQueryHandler(handler: DefaultQueryHandler | undefined): void {
  theRun('Workflow.setDefaultQueryHandler(...)').changes('register a query handler');
  defaultQuery = handler;
}

export function setDefaultUpdateHandler(handler: DefaultUpdateHandler | undefined): void {
  theRun('Workflow.setDefaultUpdateHandler(...)').changes('register an update handler');
  defaultUpdate = handler;
  handOut();
}

/** Hands what was kept to those who now want it, in the order in which it came. */
function handOut(): void {
  for (const kept of keptSignals.splice(0)) signalReceived(kept);
  for (const kept of keptUpdates.splice(0)) updateRequested(kept);
}

export function allHandlersFinished(): boolean {
  return running.size === 0;
}

async function track(running_: Running, body: () => Promise<void>): Promise<void> {
  running.add(running_);
  try {
    await body();
  } finally {
    running.delete(running_);
  }
}

// Signals.

export function signalReceived(signal: SignalRecord): void {
  const run = theRun('a signal');
  const { name } = signal;
  const registered = signals.get(name);
  const dynamic = defaultSignal;
  if (!registered && !dynamic) {
    keptSignals.push(signal);
    return;
  }
  let args: unknown[];
  try {
    args = fromPayloads(signal.input);
  } catch (error) {
    // Whoever sends rubbish must not be able to stop the workflow.
    log.warn(`left out a signal that cannot be read: ${(error as Error).message}`, { signal: name });
    return;
  }
  const unfinishedPolicy = registered?.unfinishedPolicy ?? HandlerUnfinishedPolicy.WARN_AND_ABANDON;
  track({ name, unfinishedPolicy }, async () => {
    await (registered ? registered.handler(...args) : dynamic!(name, ...args));
  }).catch((error) => run.fail(error));
}

// Updates.

/** The update that the code is handling, if it is handling one. */
export function currentUpdateInfo(): UpdateInfo | undefined {
  return theRun('Workflow.currentUpdateInfo(...)').update.getStore();
}

export function updateRequested(update: UpdateRecord): void {
  const run = theRun('an update');
  const { name, id } = update;
  const dynamic = defaultUpdate;
  const registered = updates.get(name) ?? (dynamic && unnamed((...args: unknown[]) => dynamic(name, ...args)));
  if (!registered) {
    keptUpdates.push(update);
    return;
  }
  run.update.run({ id, name }, () => {
    try {
      if (update.runValidator && registered.validator) {
        const args = fromPayloads(update.input);
        run.reading('an update validator', () => registered.validator!(...args));
      }
      // Once more: what the validator did to them is no business of the handler.
      const args = fromPayloads(update.input);
      host.acceptUpdate(update.number);
      const { unfinishedPolicy } = registered;
      track({ name, id, unfinishedPolicy }, async () => {
        const outcome = await outcomeOf(async () => registered.handler(...args));
        host.completeUpdate(update.number, outcome);
      }).catch((error) => run.fail(error));
    } catch (error) {
      refuse(update, error);
    }
  });
}

function unnamed(handler: WorkflowUpdateType): Registered<WorkflowUpdateType> {
  return { handler, unfinishedPolicy: HandlerUnfinishedPolicy.WARN_AND_ABANDON };
}

/** Temporal's failures are the update's; any other error is a mistake in the code. */
async function outcomeOf(body: () => Promise<unknown>): Promise<Result<Payload[], Failure>> {
  try {
    return { tag: 'ok', val: toPayloads([await body()]) };
  } catch (error) {
    if (error instanceof TemporalFailure) return { tag: 'err', val: errorToFailure(error) };
    throw error;
  }
}

/** Refuses an update; but one that the journal has as accepted fails instead. */
function refuse(update: UpdateRecord, error: unknown): void {
  const failure = errorToFailure(error);
  if (update.runValidator) {
    host.rejectUpdate(update.number, failure);
  } else {
    host.acceptUpdate(update.number);
    host.completeUpdate(update.number, { tag: 'err', val: failure });
  }
}

/** Nothing can move any more: whoever wanted to register a handler has had the time for it. */
export function rejectUpdatesWithoutHandler(): void {
  for (const update of keptUpdates.splice(0)) {
    const names = [...updates.keys()].sort().join(' ');
    const message =
      `Update handler for '${update.name}' expected but not found, and there is no dynamic handler. ` +
      `known updates: [${names}]`;
    refuse(update, ApplicationFailure.create({ message, type: 'UpdateHandlerNotFound' }));
  }
}

// Queries.

export function answerQuery(query: QueryRecord): Result<Payload[], Failure> {
  try {
    const answer = theRun('a query').reading('a query handler', () => answered(query));
    return { tag: 'ok', val: toPayloads([answer]) };
  } catch (error) {
    return { tag: 'err', val: errorToFailure(error) };
  }
}

function answered({ name, args }: QueryRecord): unknown {
  const builtIn = builtInQueries(described())[name];
  if (builtIn) return builtIn();
  const handler = queries.get(name)?.handler ?? (defaultQuery && defaultQuery.bind(undefined, name));
  if (!handler) {
    const names = described().queries.map((it) => it.name).join(' ');
    const message =
      `Query handler for '${name}' expected but not found, and there is no dynamic handler. ` +
      `Known queries: [${names}]`;
    throw ApplicationFailure.create({ message, type: 'QueryHandlerNotFound' });
  }
  const answer = handler(...fromPayloads(args));
  if (answer instanceof Promise) {
    // Nobody would drive it: a query is answered at once or not at all.
    answer.catch(() => undefined);
    throw new DeterminismViolationError('Query handlers should not return a Promise');
  }
  return answer;
}

// What people are told.

export interface Described {
  name: string;
  description?: string;
}

function described(): { queries: Described[]; signals: Described[]; updates: Described[] } {
  const sorted = (registry: Map<string, Registered<any>>, dynamic: unknown, more: Described[] = []) => {
    const named = [...registry].map(([name, { description }]) => ({ name, description }));
    // A dynamic handler has no name.
    const all = [...named, ...(dynamic ? [{ name: '' }] : []), ...more];
    return all.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  };
  return {
    queries: sorted(queries, defaultQuery, [
      { name: '__stack_trace', description: 'What the workflow waits for.' },
      { name: '__temporal_workflow_metadata', description: 'What the workflow answers to, and its current details.' },
    ]),
    signals: sorted(signals, defaultSignal),
    updates: sorted(updates, defaultUpdate),
  };
}

/** The run has ended: those whose handlers go down with it are named. */
export function warnOfUnfinishedHandlers(): void {
  const warned = [...running].filter((it) => it.unfinishedPolicy === HandlerUnfinishedPolicy.WARN_AND_ABANDON);
  const unfinishedUpdates = warned.filter((it) => it.id !== undefined).map(({ name, id }) => ({ name, id }));
  const counts = new Map<string, number>();
  for (const { name } of warned.filter((it) => it.id === undefined)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const unfinishedSignals = [...counts].map(([name, count]) => ({ name, count }));
  if (unfinishedUpdates.length) log.warn(`${unfinished('update')} ${JSON.stringify(unfinishedUpdates)}`);
  if (unfinishedSignals.length) log.warn(`${unfinished('signal')} ${JSON.stringify(unfinishedSignals)}`);
}

/** Temporal's words, as the host's logs are searched for them. */
function unfinished(kind: 'signal' | 'update'): string {
  const client =
    kind === 'update'
      ? ", and the client that sent the update will receive a 'workflow execution already completed' RPCError instead of the update result"
      : '';
  return (
    `[TMPRL1102] Workflow finished while ${kind} handlers are still running. This may have interrupted work that the ` +
    `${kind} handler was doing${client}. You can wait for all update and signal handlers to complete by using ` +
    '`await condition(allHandlersFinished)`. Alternatively, if both you and the clients sending the ' +
    `${kind} are okay with interrupting running handlers when the workflow finishes, then you can disable this warning ` +
    'where the handler is registered: `{ unfinishedPolicy: HandlerUnfinishedPolicy.ABANDON }`. The following ' +
    `${kind}s were unfinished (and warnings were not disabled for their handler):`
  );
}

