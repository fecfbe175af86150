import { proxyActivities } from '@temporalio/workflow';

/** The activities of `tests/languages/js_activities.py`. */
export interface Activities {
  greet(name: string): Promise<string>;
  add(a: number, b: number): Promise<number>;
  echo(value: unknown): Promise<unknown>;
  decline(reason: string): Promise<void>;
  flaky(failures: number): Promise<number>;
  endless(): Promise<void>;
  cleanUp(what: string): Promise<string>;
}

export const activities = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '10ms' },
});
