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

/** Addresses of the web. */
export async function Addresses(): Promise<unknown[]> {
  const all: [string, string?][] = [
    ['HTTPS://User:Pa%20ss@EXAMPLE.com:443/a/../b/./c?x=1&y=a b#frag ment'],
    ['/x/y?z#w', 'http://h/a/b/c?d#e'],
    ['../x', 'http://h/a/b/c'],
    ['?q=2', 'http://h/a/b?c'],
    ['#f', 'http://h/a/b?c#d'],
    ['//other/p', 'https://h/x'],
    ['mailto:a@b.c?subject=x'],
    ['file:///etc/../x'],
    ['data:text/plain,hello world'],
    ['http://h/%7Efoo/\u00fc?\u00fc#\u00fc'],
    ['http://[::1]:80/x'],
    ['http:\\\\h\\a\\b'],
    ['http:foo', 'http://h/a/b'],
    ['http://h/a/b/..'],
    ["http://h/?a='b'"],
    ['http://h/{x}|y^z`'],
    ['custom://Host/a/../b?q'],
    ['http://h/%2e%2e/b'],
    ['https://h/?a=1&a=2&b=%20+%2B'],
    ['http://'],
    ['nonsense'],
    ['http://h:99999/'],
  ];
  const shown = all.map(([input, base]) => {
    try {
      const url = new URL(input, base);
      const { href, origin, host, hostname, port, pathname, search, hash, username, password } = url;
      return [href, origin, host, hostname, port, pathname, search, hash, username, password, [...url.searchParams]];
    } catch (error) {
      return (error as Error).name;
    }
  });
  const changed = new URL('http://h:8080/p?q=1&b=2&q=3#f');
  changed.searchParams.append('k', 'v&\u00e9 ~*');
  changed.searchParams.delete('b');
  changed.pathname = 'a b/../c';
  changed.port = '80';
  changed.hash = '';
  return [...shown, changed.href, String(new URLSearchParams({ a: '1 2', b: '\u00fc' })), JSON.stringify({ changed })];
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
