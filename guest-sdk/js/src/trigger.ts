import { CancellationScope } from './cancellation-scope';
import { handled } from './context';

/** A promise that somebody else settles. It rejects when the scope in which it was made is canceled. */
export class Trigger<T> implements PromiseLike<T> {
  readonly resolve!: (value: T | PromiseLike<T>) => void;
  readonly reject!: (reason?: any) => void;
  protected readonly promise: Promise<T>;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      Object.assign(this, { resolve, reject });
    });
    handled(this.promise);
    const scope = CancellationScope.current();
    if (scope.consideredCancelled) this.reject(scope.cancellation);
    scope.onCancel(this.reject);
  }

  then<A = T, B = never>(
    onfulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onrejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): PromiseLike<A | B> {
    return this.promise.then(onfulfilled, onrejected);
  }
}
