/** Globals that workflows expect, and that the engine lacks or must not have as it is. */

import { AbortController, AbortSignal } from './abort';
import { DeterminismViolationError } from './failures';
import { host, type LogLevel } from './host';
import { log, shown } from './log';
import { encode } from './payload';
import { random } from './random';
import { maybeRun } from './run';
import { clone } from './structured-clone';
import { clearTimeout, setTimeout } from './timers';
import { URL, URLSearchParams } from './url';

/** As Node.js has them: writable, and not listed. */
function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true, enumerable: false });
}

class TextEncoder {
  readonly encoding = 'utf-8';
  encode(text = ''): Uint8Array {
    return encode(String(text));
  }
  encodeInto(text: string, into: Uint8Array): { read: number; written: number } {
    let [read, written] = [0, 0];
    for (const character of text) {
      const bytes = encode(character);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

class TextDecoder {
  readonly encoding = 'utf-8';
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  constructor(label = 'utf-8', options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    if (!/^(unicode-1-1-)?utf-?8$/i.test(label.trim())) {
      throw new RangeError(`the encoding ${label} is not available in a workflow: only utf-8 is`);
    }
    this.fatal = options.fatal ?? false;
    this.ignoreBOM = options.ignoreBOM ?? false;
  }
  decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string {
    if (options?.stream) throw new TypeError('decoding a stream is not available in a workflow');
    if (!input) return '';
    const bytes = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    const text = host.decodeText(bytes, this.fatal);
    if (text === undefined) throw new TypeError('The encoded data was not valid for encoding utf-8');
    return !this.ignoreBOM && text.startsWith('\ufeff') ? text.slice(1) : text;
  }
}

/** Lines of the workflow's log. While the module is loaded nobody would read them. */
function line(level: LogLevel): (...args: unknown[]) => void {
  return (...args) => {
    if (maybeRun()) log[level](args.map(shown).join(' '));
  };
}

const console = {
  log: line('info'),
  info: line('info'),
  debug: line('debug'),
  trace: line('debug'),
  warn: line('warn'),
  error: line('error'),
  assert(holds: unknown, ...args: unknown[]): void {
    if (!holds) console.error('Assertion failed', ...args);
  },
};

function forbidden(name: string, why: string): unknown {
  return function () {
    throw new DeterminismViolationError(`${name} is not available in a workflow: ${why}`);
  };
}

define('TextEncoder', TextEncoder);
define('TextDecoder', TextDecoder);
define('console', console);
define('structuredClone', clone);
define('setTimeout', setTimeout);
define('clearTimeout', clearTimeout);
define('AbortController', AbortController);
define('AbortSignal', AbortSignal);
define('URL', URL);
define('URLSearchParams', URLSearchParams);
define('queueMicrotask', (callback: () => void) => void Promise.resolve().then(callback));
// When memory is collected depends on what else the instance did, which a replay does not repeat.
define('WeakRef', forbidden('WeakRef', 'when memory is collected is not repeatable'));
define('FinalizationRegistry', forbidden('FinalizationRegistry', 'when memory is collected is not repeatable'));
Object.defineProperty(Math, 'random', { value: random, configurable: true, writable: true });

// What is missing on purpose says so, instead of being undefined.
const ELSEWHERE = 'do it in an activity';
for (const name of ['fetch', 'XMLHttpRequest', 'WebSocket', 'setImmediate', 'setInterval']) {
  define(name, forbidden(name, name.startsWith('set') ? 'use setTimeout or sleep' : ELSEWHERE));
}
