/** Parts of a workflow that can be canceled on their own. */

import { AsyncLocalStorage, handled } from './context';
import { msOptionalToNumber, type Duration } from './duration';
import { CancelledFailure } from './failures';
import { theRun } from './run';
import { sleep } from './timers';

export interface CancellationScopeOptions {
  /** How long until the scope cancels itself. */
  timeout?: Duration;
  /** False shields what runs in the scope from cancellation. */
  cancellable: boolean;
  /** The current scope unless given. */
  parent?: CancellationScope;
}

type Listener = (error: unknown) => void;

export class CancellationScope {
  readonly cancellable: boolean;
  readonly parent?: CancellationScope;
  /** Rejects when the scope is asked to cancel, also where it is not cancellable. */
  readonly cancelRequested: Promise<never>;
  protected readonly timeout?: number;
  #error: unknown;
  #reject!: (error: unknown) => void;
  /** In the order in which they began to listen, which is the order in which things were started. */
  readonly #listeners = new Set<Listener>();

  constructor(options?: CancellationScopeOptions, parent?: CancellationScope | null) {
    this.timeout = msOptionalToNumber(options?.timeout);
    this.cancellable = options?.cancellable ?? true;
    this.cancelRequested = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    handled(this.cancelRequested);
    if (parent === null) return;
    this.parent = options?.parent ?? CancellationScope.current();
    if (this.parent.consideredCancelled) {
      this.request(this.parent.cancellation);
    } else {
      this.parent.onCancel((error) => this.request(error));
    }
  }

  /** Whether what runs in it is canceled. */
  get consideredCancelled(): boolean {
    return this.cancellable && this.#error !== undefined;
  }

  /** Why it was canceled. */
  get cancellation(): unknown {
    return this.#error;
  }

  /** Calls the listener when what runs in the scope is canceled. The result stops that. */
  onCancel(listener: Listener): () => void {
    if (!this.cancellable) return () => undefined;
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  protected request(error: unknown): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#reject(error);
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    listeners.forEach((listener) => listener(error));
  }

  /** Cancels what was started in this scope and in the scopes inside it. A second call does nothing. */
  cancel(): void {
    theRun('CancellationScope.cancel(...)').changes('cancel a scope');
    this.request(new CancelledFailure('Cancellation scope cancelled'));
  }

  /** Runs the function inside this scope. */
  run<T>(fn: () => Promise<T>): Promise<T> {
    return storage.run(this, () => this.withTimer(fn));
  }

  private async withTimer<T>(fn: () => Promise<T>): Promise<T> {
    if (!this.timeout) return await fn();
    const timer = new CancellationScope();
    timer.run(() => sleep(this.timeout!)).then(
      () => this.cancel(),
      () => undefined,
    );
    try {
      return await fn();
    } finally {
      if (!timer.consideredCancelled) timer.cancel();
    }
  }

  /** The scope of the code that is running. */
  static current(): CancellationScope {
    return storage.getStore() ?? theRun('CancellationScope.current()').rootScope;
  }

  static cancellable<T>(fn: () => Promise<T>): Promise<T> {
    return new this({ cancellable: true }).run(fn);
  }

  static nonCancellable<T>(fn: () => Promise<T>): Promise<T> {
    return new this({ cancellable: false }).run(fn);
  }

  static withTimeout<T>(timeout: Duration, fn: () => Promise<T>): Promise<T> {
    return new this({ cancellable: true, timeout }).run(fn);
  }
}

const storage = new AsyncLocalStorage<CancellationScope>();

/** The scope of the whole workflow, which a request to cancel it cancels. */
export class RootCancellationScope extends CancellationScope {
  constructor() {
    super({ cancellable: true }, null);
  }

  override cancel(): void {
    this.request(new CancelledFailure('Workflow cancelled'));
  }
}
