/** Workflows with mistakes in them, and some that ask too much. The tests know their lines by the comments. */

import { ApplicationFailure, log, sleep } from '@temporalio/workflow';

interface Order {
  customer?: { name: string };
}

export async function Mistake(order: Order): Promise<string> {
  await sleep(1);
  return nameOf(order); // called here
}

function nameOf(order: Order): string {
  return order.customer!.name; // the mistake
}

export async function OutOfStock(): Promise<void> {
  await sleep(1);
  throw ApplicationFailure.nonRetryable('nothing left to ship', 'OutOfStock'); // thrown here
}

export async function NobodyCatches(): Promise<void> {
  void (async () => {
    await sleep(1);
    throw new RangeError('nobody catches this'); // in the background
  })();
  await sleep('1 day');
}

export async function ThrowsText(): Promise<void> {
  throw 'only text';
}

function deep(levels: number): number {
  return levels === 0 ? 0 : 1 + deep(levels - 1);
}

/** What recurses too deep can be caught, as everywhere in JavaScript. */
export async function Recursion(): Promise<unknown> {
  try {
    return deep(1_000_000);
  } catch (error) {
    return [(error as Error).name, deep(100)];
  }
}

export async function Endless(): Promise<void> {
  for (;;);
}

export async function EndlessPromises(): Promise<void> {
  for (;;) await null;
}

export async function Hoarder(): Promise<void> {
  const all: ArrayBuffer[] = [];
  for (;;) all.push(new ArrayBuffer(1 << 20));
}

export async function Logs(): Promise<void> {
  log.info('an order', { customer: 'ann', items: [1, 2] });
  console.warn('attention', { code: 7 });
  await sleep(1);
}

export async function NotHere(what: string): Promise<string> {
  const calls: Record<string, () => unknown> = {
    fetch: () => fetch('http://localhost'),
    setInterval: () => setInterval(() => undefined, 1),
    WeakRef: () => new WeakRef({}),
  };
  try {
    await calls[what]!();
    return 'available';
  } catch (error) {
    return (error as Error).message;
  }
}

/** Globals that Temporal's own sandbox lacks, so that there is nothing to compare with. */
export async function Globals(): Promise<unknown> {
  const cyclic: Record<string, unknown> = { when: new Date(5), set: new Set([3, 1]), map: new Map([['k', /r/g]]) };
  cyclic.self = cyclic;
  cyclic.bytes = new Uint8Array([1, 2, 3]).subarray(1);
  const clone = structuredClone(cyclic) as any;
  const aborted: string[] = [];
  const controller = new AbortController();
  controller.signal.addEventListener('abort', () => void aborted.push('heard'));
  controller.abort();
  controller.abort();
  const bytes = new Uint8Array(4);
  const notText = (() => {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]));
    } catch (error) {
      return (error as Error).name;
    }
  })();
  let uncloneable = '';
  try {
    structuredClone(() => 1);
  } catch (error) {
    uncloneable = (error as Error).name;
  }
  return {
    clone: [clone !== cyclic, clone.self === clone, clone.when.getTime(), [...clone.set], clone.map.get('k').flags, [...clone.bytes]],
    aborted: [aborted, controller.signal.aborted, (controller.signal.reason as Error).name],
    encoded: [new TextEncoder().encodeInto('a€b', bytes), [...bytes]],
    lossy: new TextDecoder().decode(new Uint8Array([0x61, 0xff])),
    notText,
    uncloneable,
  };
}
