/** Durations as people write them: a number of milliseconds, or text such as `10s`, `5 minutes`, `1.5 h`. */
export type Duration = DurationText | number;

type Unit =
  | 'Years' | 'Year' | 'Yrs' | 'Yr' | 'Y'
  | 'Weeks' | 'Week' | 'W'
  | 'Days' | 'Day' | 'D'
  | 'Hours' | 'Hour' | 'Hrs' | 'Hr' | 'H'
  | 'Minutes' | 'Minute' | 'Mins' | 'Min' | 'M'
  | 'Seconds' | 'Second' | 'Secs' | 'Sec' | 's'
  | 'Milliseconds' | 'Millisecond' | 'Msecs' | 'Msec' | 'Ms';
type AnyCase = Unit | Uppercase<Unit> | Lowercase<Unit>;
export type DurationText = `${number}` | `${number}${AnyCase}` | `${number} ${AnyCase}`;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365.25 * DAY;

const PATTERN = /^(-?(?:\d+)?\.?\d+) *([a-z]*)$/i;

function unit(name: string): number | undefined {
  if (/^(y|yrs?|years?)$/.test(name)) return YEAR;
  if (/^(w|weeks?)$/.test(name)) return 7 * DAY;
  if (/^(d|days?)$/.test(name)) return DAY;
  if (/^(h|hrs?|hours?)$/.test(name)) return HOUR;
  if (/^(m|mins?|minutes?)$/.test(name)) return MINUTE;
  if (/^(s|secs?|seconds?)$/.test(name)) return SECOND;
  if (/^(|ms|msecs?|milliseconds?)$/.test(name)) return 1;
  return undefined;
}

/** The duration in milliseconds. Throws a TypeError where it is none. */
export function msToNumber(duration: Duration): number {
  if (typeof duration === 'number') {
    if (!Number.isFinite(duration)) throw new TypeError(`Invalid duration: ${duration}`);
    return duration;
  }
  const match = typeof duration === 'string' ? PATTERN.exec(duration) : null;
  const factor = match ? unit(match[2]!.toLowerCase()) : undefined;
  if (!match || factor === undefined) {
    throw new TypeError(`Invalid duration string: '${duration}'`);
  }
  return Number(match[1]) * factor;
}

/** The same, for what may be left out. */
export function msOptionalToNumber(duration: Duration | null | undefined): number | undefined {
  return duration === undefined || duration === null ? undefined : msToNumber(duration);
}

/** A duration that the host takes: not negative. */
export function timeout(name: string, duration: Duration | null | undefined): number | undefined {
  const ms = msOptionalToNumber(duration);
  if (ms !== undefined && ms < 0) throw new TypeError(`${name} is negative: ${duration}`);
  return ms;
}
