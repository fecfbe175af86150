import { log, sleep, ApplicationFailure, workflowInfo } from '@temporalio/workflow';
function deep(n: number): number { return n === 0 ? 0 : 1 + deep(n - 1); }
function tree(n: number): unknown { return n === 0 ? null : [tree(n - 1)]; }
export async function Deep() {
  const out: unknown[] = [];
  for (const n of [100, 300, 500, 700, 1000, 2000, 5000, 10000]) {
    try { out.push([n, deep(n)]); } catch (e) { out.push([n, (e as Error).name + ': ' + (e as Error).message]); }
  }
  return out;
}
export async function DeepJson(n: number) {
  let v: unknown = null; for (let i = 0; i < n; i++) v = [v];
  try { return JSON.stringify(v).length; } catch (e) { return String(e); }
}
export async function DeepRegex(n: number) { try { return /^(a|b|ab)*c$/.test('ab'.repeat(n)); } catch (e) { return String(e); } }
export async function Sorts(n: number) { const a = Array.from({length: n}, (_, i) => (i * 7919) % n); try { a.sort((x, y) => deep(50) - 50 + x - y); return a.length; } catch (e) { return String(e); } }
export async function Bug(x?: { y: { z: number } }) {
  await sleep(1);
  return helper(x);
}
function helper(x?: { y: { z: number } }) { return x!.y.z; }
export async function Fails() { await sleep(1); throw ApplicationFailure.nonRetryable('no stock', 'OutOfStock'); }
export async function Unhandled() { void (async () => { await null; throw new Error('nobody catches me'); })(); await sleep(1000); }
export async function Loop() { for (;;) ; }
export async function Microloop() { for (;;) await null; }
export async function Memory() { const all: string[][] = []; for (;;) all.push(new Array(100000).fill('x')); }
export async function ThrowsString() { throw 'just text'; }
export async function Logs() { console.log('hello', { a: 1 }, [1]); log.warn('attention', { user: 'ann', n: 3 }); await sleep(1); console.error(new Error('bad')); }
