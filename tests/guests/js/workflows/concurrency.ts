import { AsyncLocalStorage, condition, deprecatePatch, patched, sleep, uuid4 } from '@temporalio/workflow';

import { activities } from './acts';

/** The order in which promises move. */
export async function PromiseOrder(): Promise<string[]> {
  const order: string[] = [];
  const note = (what: string) => void order.push(what);
  const steps = async (name: string, count: number) => {
    for (let step = 1; step <= count; step++) {
      await null;
      note(`${name}${step}`);
    }
    return name;
  };
  const all = [steps('a', 3), steps('b', 2), steps('c', 1)];
  void Promise.resolve().then(() => note('then 1')).then(() => note('then 2')).finally(() => note('finally'));
  note('sync');
  note(`race ${await Promise.race(all)}`);
  note(`all ${(await Promise.all(all)).join('')}`);
  note(`any ${await Promise.any([Promise.reject(new Error('no')), steps('d', 1)])}`);
  const settled = await Promise.allSettled([steps('e', 2), Promise.reject(new Error('f'))]);
  note(settled.map(({ status }) => status).join(','));
  async function* numbers() {
    for (let number = 0; number < 3; number++) {
      await null;
      yield number;
    }
  }
  for await (const number of numbers()) note(`yield ${number}`);
  const returned = async () => Promise.resolve('returned');
  await Promise.all([returned().then(note), steps('g', 4)]);
  return order;
}

/** Timers fire in the order in which they are due, and may be cleared. */
export async function Timeouts(): Promise<string[]> {
  const fired: string[] = [];
  setTimeout(() => fired.push('late'), 60);
  setTimeout((name: string) => fired.push(name), 5, 'early');
  const never = setTimeout(() => fired.push('never'), 20);
  clearTimeout(never);
  await condition(() => fired.length === 2);
  await sleep(30);
  return fired;
}

/** Conditions that make each other true, and one that takes too long. */
export async function Conditions(): Promise<unknown[]> {
  let [a, b] = [false, false];
  const first = condition(() => a).then(() => (b = true));
  const second = condition(() => b).then(() => 'both');
  await sleep(1);
  a = true;
  await first;
  return [await second, await condition(() => false, 10), await condition(() => true, '1 hour')];
}

/** The clock stands still in a task, and goes on between tasks. */
export async function Clock(): Promise<unknown> {
  const start = Date.now();
  const same = new Date().getTime() === start;
  await sleep(50);
  const slept = Date.now() - start;
  return { same, slept: slept >= 50 && slept < 30_000, typed: typeof start, iso: new Date(0).toISOString() };
}

/** Random numbers and ids are good ones. (Which ones is for the replay test.) */
export async function Randomness(): Promise<unknown> {
  const numbers = Array.from({ length: 200 }, () => Math.random());
  const ids = new Set(Array.from({ length: 50 }, () => uuid4()));
  return {
    inRange: numbers.every((number) => number >= 0 && number < 1),
    distinct: new Set(numbers).size === 200 && ids.size === 50,
    wellFormed: [...ids].every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)),
  };
}

/** Each chain of calls has a store of its own, across awaits. */
export async function Context(): Promise<string[]> {
  const store = new AsyncLocalStorage<string>();
  const read = async (ms: number) => {
    await sleep(ms);
    await activities.add(1, 1);
    return store.getStore() ?? 'none';
  };
  const results = await Promise.all([store.run('one', () => read(5)), read(1), store.run('two', () => read(1))]);
  await store.run('outer', async () => {
    await null;
    results.push(await store.run('inner', () => read(1)));
    results.push(store.getStore() ?? 'none');
  });
  return results;
}

/** New code takes the new path. */
export async function Patched(): Promise<string> {
  deprecatePatch('old-change');
  const path = patched('new-change') ? 'new' : 'old';
  await sleep(1);
  return `${path} ${patched('new-change')}`;
}
