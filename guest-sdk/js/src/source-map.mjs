// Where a line of the bundle comes from. Plain JavaScript: the builder uses it as well, for errors at build time.

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Reads the mappings of a source map (version 3). */
export class SourceMap {
  /** @param {{ sources: string[], mappings: string }} map */
  constructor(map) {
    this.sources = map.sources;
    this.mappings = map.mappings;
    /** @type {Segment[][] | undefined} */
    this.lines = undefined;
  }

  /**
   * Where a place of the bundle comes from; lines and columns count from 1.
   * @param {number} line
   * @param {number} column
   * @returns {{ source: string, line: number, column: number } | undefined}
   */
  find(line, column) {
    this.lines ??= read(this.mappings);
    const segments = this.lines[line - 1] ?? [];
    let best = segments[0];
    for (const segment of segments) {
      if (segment.generated > column - 1) break;
      best = segment;
    }
    if (!best) return undefined;
    return { source: this.sources[best.source] ?? '', line: best.line + 1, column: best.column + 1 };
  }
}

/**
 * From where on a line of the bundle comes from which place; all from 0.
 * @typedef {{ generated: number, source: number, line: number, column: number }} Segment
 */

/**
 * @param {string} mappings
 * @returns {Segment[][]} for each line
 */
export function read(mappings) {
  let [source, line, column] = [0, 0, 0];
  return mappings.split(';').map((text) => {
    let generated = 0;
    const segments = [];
    for (const part of text ? text.split(',') : []) {
      const numbers = decode(part);
      generated += numbers[0] ?? 0;
      // What comes from nowhere has one number only.
      if (numbers.length < 4) continue;
      source += numbers[1] ?? 0;
      line += numbers[2] ?? 0;
      column += numbers[3] ?? 0;
      segments.push({ generated, source, line, column });
    }
    return segments;
  });
}

/**
 * The numbers of a segment: base 64, five bits to a digit, the lowest bit is the sign.
 * @param {string} segment
 */
function decode(segment) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit);
    value += (bits & 31) * 2 ** shift;
    shift += 5;
    if (bits & 32) continue;
    numbers.push(value % 2 ? -(value - 1) / 2 : value / 2);
    [value, shift] = [0, 0];
  }
  return numbers;
}

/**
 * The frames of a stack trace as the author wrote them: those of the SDK left out, the others with the place in their
 * own file.
 * @param {string} stack
 * @param {SourceMap | undefined} map
 * @param {(source: string) => boolean} isOurs
 */
export function mapStack(stack, map, isOurs) {
  const frames = [];
  for (const line of stack.split('\n')) {
    const frame = /^\s*at (?:(.*) \()?(.+?)(?::(\d+)(?::(\d+))?)?\)?$/.exec(line);
    if (!frame || frame[2] === 'native') continue;
    const name = /^<(anonymous|eval)>$/.test(frame[1] ?? '<anonymous>') ? undefined : frame[1]?.replace(/\$async$/, '');
    const found = frame[3] && map?.find(Number(frame[3]), Number(frame[4] ?? 1));
    if (map && frame[2] === 'workflow-bundle.js' && !found) continue;
    if (found && isOurs(found.source)) continue;
    const place = found
      ? `${found.source}:${found.line}:${found.column}`
      : [frame[2], frame[3], frame[4]].filter(Boolean).join(':');
    frames.push(name ? `    at ${name} (${place})` : `    at ${place}`);
  }
  return frames.join('\n');
}
