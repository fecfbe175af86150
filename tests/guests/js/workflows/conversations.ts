import {
  allHandlersFinished,
  ApplicationFailure,
  condition,
  currentUpdateInfo,
  defineQuery,
  defineSignal,
  defineUpdate,
  setDefaultQueryHandler,
  setDefaultSignalHandler,
  setDefaultUpdateHandler,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';

import { activities } from './acts';

export const unblock = defineSignal('unblock');
export const isBlocked = defineQuery<boolean>('isBlocked');

/** Waits for a signal; a query tells whether it does. */
export async function Unblocked(): Promise<string> {
  let blocked = true;
  setHandler(unblock, () => void (blocked = false));
  setHandler(isBlocked, () => blocked);
  await condition(() => !blocked);
  return 'unblocked';
}

/** A timer that can be moved while it runs. */
class UpdatableTimer implements PromiseLike<void> {
  private changed = false;
  readonly done: Promise<void>;
  constructor(private deadline: number) {
    this.done = this.run();
    this.done.catch(() => undefined);
  }
  private async run(): Promise<void> {
    for (;;) {
      this.changed = false;
      if (!(await condition(() => this.changed, this.deadline - Date.now()))) return;
    }
  }
  then<A = void, B = never>(
    fulfilled?: (value: void) => A | PromiseLike<A>,
    rejected?: (reason: unknown) => B | PromiseLike<B>,
  ): PromiseLike<A | B> {
    return this.done.then(fulfilled, rejected);
  }
  move(deadline: number): void {
    this.deadline = deadline;
    this.changed = true;
  }
}

const moveTo = defineSignal<[msFromStart: number]>('moveTo');

export async function Reminder(ms: number): Promise<number> {
  const start = Date.now();
  const timer = new UpdatableTimer(start + ms);
  let moves = 0;
  setHandler(moveTo, (msFromStart) => {
    moves += 1;
    timer.move(start + msFromStart);
  });
  await timer;
  return moves;
}

interface Language {
  language: string;
  greeting: string;
}
const getLanguages = defineQuery<string[], [includeUnsupported: boolean]>('getLanguages');
const setLanguage = defineUpdate<string, [language: string]>('setLanguage');
const setLanguageByActivity = defineUpdate<Language, [language: string]>('setLanguageByActivity');
const approve = defineSignal<[name: string]>('approve');

/** Signals, queries and updates of one workflow: a validator, an async handler behind a lock, and a clean end. */
export async function LanguageSettings(): Promise<unknown> {
  const known: Record<string, string> = { english: 'hello', korean: '안녕' };
  let language = 'english';
  let approver: string | undefined;
  let locked = false;
  const log: string[] = [];
  setHandler(getLanguages, (all) => (all ? [...Object.keys(known), 'klingon'] : Object.keys(known)));
  setHandler(approve, (name) => void (approver = name));
  setHandler(
    setLanguage,
    (next) => {
      const before = language;
      language = next;
      log.push(`${before} to ${next}`);
      return before;
    },
    {
      description: 'Sets the language.',
      validator: (next) => {
        if (!(next in known)) throw new Error(`${next} is not supported`);
      },
    },
  );
  setHandler(setLanguageByActivity, async (next) => {
    await condition(() => !locked);
    locked = true;
    try {
      if (!(next in known)) {
        const greeting = await activities.greet(next);
        if (greeting.includes('nobody')) {
          throw ApplicationFailure.create({ type: 'Unsupported', message: `${next} is spoken by nobody`, details: [next] });
        }
        known[next] = greeting;
      }
      log.push(`${language} to ${next} by activity, update ${currentUpdateInfo()?.name}`);
      language = next;
      return { language, greeting: known[next]! };
    } finally {
      locked = false;
    }
  });
  await condition(() => approver !== undefined);
  await condition(allHandlersFinished);
  return { language, approver, log, outside: currentUpdateInfo() === undefined };
}

/** Answers to whatever it is called. */
export async function Dynamic(): Promise<string[]> {
  const heard: string[] = [];
  let done = false;
  setHandler(defineSignal('finish'), () => void (done = true));
  setDefaultSignalHandler((name, ...args) => void heard.push(`signal ${name} ${JSON.stringify(args)}`));
  setDefaultQueryHandler((name, ...args) => `query ${name} ${JSON.stringify(args)}`);
  setDefaultUpdateHandler(async (name, ...args) => {
    heard.push(`update ${name} ${JSON.stringify(args)}`);
    await sleep(1);
    return args.length;
  });
  await condition(() => done);
  return heard;
}

const item = defineSignal<[string]>('item');

/** What comes before there is a handler is kept. */
export async function LateHandler(): Promise<string[]> {
  const items: string[] = [];
  await sleep(50);
  setHandler(item, (value) => void items.push(value));
  await condition(() => items.length >= 3);
  setHandler(item, undefined);
  return items;
}

/** A handler that waits, and that others overtake. */
export async function SlowHandlers(): Promise<string[]> {
  const order: string[] = [];
  setHandler(defineSignal<[string, number]>('work'), async (name, ms) => {
    order.push(`${name} begins`);
    await sleep(ms);
    order.push(`${name} ends`);
  });
  await condition(() => order.length === 4 && allHandlersFinished());
  return order;
}

/** A query handler that fails, and one that is not there. */
export async function BadQueries(): Promise<void> {
  setHandler(defineQuery<void>('broken'), () => {
    throw new TypeError('the handler is broken');
  });
  setHandler(defineQuery<number, [number]>('half'), (number) => number / 2);
  await condition(() => workflowInfo().historyLength > 10_000);
}
