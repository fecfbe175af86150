/**
 * What stays with a chain of asynchronous calls: `AsyncLocalStorage`, as Node.js has it.
 *
 * The builder turns `async` and `await` into generators and promises, so that whatever goes on later goes through
 * `Promise.prototype.then`: that is where the context is kept and put back.
 */

type Frame = ReadonlyMap<object, unknown>;

let current: Frame = new Map();

/** Runs the function with the context as it is now, whenever and from wherever it is called. */
export function bindContext<F extends (...args: any[]) => unknown>(fn: F): F {
  const frame = current;
  return function (this: unknown, ...args: any[]) {
    return within(frame, () => fn.apply(this, args));
  } as F;
}

function within<T>(frame: Frame, body: () => T): T {
  const outer = current;
  current = frame;
  try {
    return body();
  } finally {
    current = outer;
  }
}

/** A place that each chain of asynchronous calls has of its own. */
export class AsyncLocalStorage<T> {
  getStore(): T | undefined {
    return current.get(this) as T | undefined;
  }

  /** Calls the function; it, and all that it sets going, finds the store. */
  run<R, Args extends any[]>(store: T, callback: (...args: Args) => R, ...args: Args): R {
    return within(new Map(current).set(this, store), () => callback(...args));
  }

  /** Calls the function; it, and all that it sets going, finds nothing. */
  exit<R, Args extends any[]>(callback: (...args: Args) => R, ...args: Args): R {
    const frame = new Map(current);
    frame.delete(this);
    return within(frame, () => callback(...args));
  }

  enterWith(store: T): void {
    current = new Map(current).set(this, store);
  }

  disable(): void {
    const frame = new Map(current);
    frame.delete(this);
    current = frame;
  }

  static bind<F extends (...args: any[]) => unknown>(fn: F): F {
    return bindContext(fn);
  }

  static snapshot(): <R, Args extends any[]>(fn: (...args: Args) => R, ...args: Args) => R {
    const frame = current;
    return (fn, ...args) => within(frame, () => fn(...args));
  }
}

const nativeThen = Promise.prototype.then;

function kept(callback: unknown): any {
  if (typeof callback !== 'function') return callback;
  const frame = current;
  return (value: unknown) => {
    const outer = current;
    current = frame;
    try {
      return callback(value);
    } finally {
      current = outer;
    }
  };
}

Object.defineProperty(Promise.prototype, 'then', {
  configurable: true,
  writable: true,
  enumerable: false,
  value: function then(this: Promise<unknown>, onFulfilled?: unknown, onRejected?: unknown) {
    return nativeThen.call(this, kept(onFulfilled), kept(onRejected));
  },
});

/** Marks a rejection as one that somebody knows of. */
export function handled(promise: Promise<unknown>): void {
  nativeThen.call(promise, undefined, () => undefined);
}
