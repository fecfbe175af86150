/** Whatever could differ from one execution to the next ends up in what the workflow asks for. */

import { condition, defineSignal, proxyActivities, setHandler, sleep, startChild, uuid4, workflowInfo } from '@temporalio/workflow';

const { echo } = proxyActivities<{ echo(value: unknown): Promise<unknown> }>({ startToCloseTimeout: '1 minute' });

const loadedAt = Date.now();
const loadedWith = Math.random();

export async function Everything(): Promise<unknown> {
  const heard: string[] = [];
  setHandler(defineSignal<[string]>('say'), async (what) => {
    await echo([what, Date.now(), uuid4()]);
    heard.push(what);
  });
  await echo({ loadedAt, loadedWith, now: Date.now(), iso: new Date().toISOString(), zone: new Date().getTimezoneOffset() });
  const seen: unknown[] = [];
  for (let round = 0; round < 3; round++) {
    await sleep(1 + Math.floor(Math.random() * 5));
    const keys = new Map(Array.from({ length: 20 }, () => [Math.random().toString(36), uuid4()] as const));
    const objects = new Map([{ a: 1 }, { b: 2 }, Symbol('c'), NaN, -0].map((key, index) => [key, index]));
    seen.push(await echo([[...keys], [...new Set([...keys.values()].map((id) => id[0]))], [...objects.values()]]));
  }
  const order: number[] = [];
  const racing = Array.from({ length: 8 }, async (_, index) => {
    if (index % 2) await null;
    await echo(index);
    order.push(index);
    await sleep(Math.ceil(Math.random() * 3));
  });
  const first = await Promise.race(racing.map((it, index) => it.then(() => index)));
  await Promise.all(racing);
  await echo({ order, first, length: workflowInfo().historyLength });
  const child = await startChild(Small);
  await condition(() => heard.length >= 2);
  await echo([child.workflowId, await child.result(), heard]);
  return { order, first };
}

export async function Small(): Promise<string> {
  return `${uuid4()} ${Math.random()}`;
}
