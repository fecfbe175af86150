/** Randomness that a replay repeats: a stream that the run's id seeds. */

import { host } from './host';
import { maybeRun, theRun } from './run';

function bytes(count: number): Uint8Array {
  maybeRun()?.changes('draw a random number');
  return host.randomBytes(count);
}

/** `Math.random`: from 0 up to, but not including, 1. */
export function random(): number {
  // 53 bits are what a number can hold exactly.
  const [a, b, c, d, e, f, g] = bytes(7) as unknown as [number, number, number, number, number, number, number];
  const high = a * 2 ** 16 + b * 2 ** 8 + c;
  const low = ((d * 2 ** 8 + e) * 2 ** 8 + f) * 2 ** 5 + (g & 0x1f);
  return (high * 2 ** 29 + low) / 2 ** 53;
}

/** A random UUID (version 4). */
export function uuid4(): string {
  theRun('Workflow.uuid4()');
  const drawn = bytes(16);
  drawn[6] = (drawn[6]! & 0x0f) | 0x40;
  drawn[8] = (drawn[8]! & 0x3f) | 0x80;
  const hex = [...drawn].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
