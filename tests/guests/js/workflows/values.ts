import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { upsertMemo, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';

import { activities } from './acts';

/** What becomes of values on the wire. */
export async function Values(given: unknown): Promise<unknown> {
  const bytes = (await activities.echo(Uint8Array.from([0, 1, 254, 255]))) as Uint8Array;
  return {
    given,
    undefinedComesBack: String(await activities.echo(undefined)),
    nullComesBack: await activities.echo(null),
    bytes: [...bytes],
    date: await activities.echo(new Date(86_400_000)),
    unicode: await activities.echo('\u{1f600} 주문 \ud83d'),
    numbers: await activities.echo([0.1 + 0.2, 1e21, -0, 2 ** 53]),
    nested: await activities.echo({ b: [1, { c: null }], a: { toJSON: () => 'by toJSON' }, gone: undefined }),
  };
}

/** JavaScript's own collections and texts. */
export async function Builtins(): Promise<unknown> {
  const map = new Map<unknown, number>([['z', 1], ['a', 2], [1, 3]]);
  map.delete('z');
  map.set('z', 4);
  return {
    map: [...map],
    keys: Object.keys({ b: 1, 2: 1, a: 1, 1: 1 }),
    sorted: [3, 20, 100].sort(),
    grouped: [...'hello'].reduce<Record<string, number>>((all, letter) => ({ ...all, [letter]: (all[letter] ?? 0) + 1 }), {}),
    regexp: 'a1b22'.replace(/(?<digits>\d+)/g, '<$<digits>>'),
    bigint: (2n ** 70n).toString(),
    text: new TextDecoder().decode(new TextEncoder().encode('주문')),
    error: (() => {
      try {
        return (null as unknown as { x: number }).x;
      } catch (error) {
        return error instanceof TypeError;
      }
    })(),
  };
}

/** What the run knows of itself. */
export async function Info(): Promise<unknown> {
  const info = workflowInfo();
  const before = info.memo;
  upsertMemo({ added: [1, 2], removed: null });
  upsertSearchAttributes([
    { key: defineSearchAttributeKey('CustomKeywordField', SearchAttributeType.KEYWORD), value: 'typed' },
    { key: defineSearchAttributeKey('CustomIntField', SearchAttributeType.INT), value: 7 },
  ]);
  const after = workflowInfo();
  return {
    workflowType: info.workflowType,
    attempt: info.attempt,
    namespace: info.namespace,
    historyLength: info.historyLength,
    sameRun: info.runId === info.firstExecutionRunId,
    startedBefore: info.startTime.getTime() <= Date.now(),
    parent: info.parent === undefined,
    before,
    after: after.memo,
    keyword: after.typedSearchAttributes.get(defineSearchAttributeKey('CustomKeywordField', SearchAttributeType.KEYWORD)),
    untyped: after.searchAttributes.CustomIntField,
  };
}
