/** As much of the sandbox's puppet as its benchmark asks for: `sandbox_bench --module js_bench.wasm`. */

import { condition, defineSignal, scheduleActivity, setHandler } from '@temporalio/workflow';

type Step =
  | 'await_signal'
  | { activity: { name: string; kind: string; input?: unknown } }
  | { await: string }
  | { repeat: { times: number; steps: Step[] } };

export async function Puppet(steps: Step[]): Promise<void> {
  const started = new Map<string, Promise<unknown>>();
  let signals = 0;
  setHandler(defineSignal<[number]>('go'), () => void signals++);

  const run = async (step: Step): Promise<void> => {
    if (step === 'await_signal') {
      await condition(() => signals > 0);
      signals -= 1;
    } else if ('activity' in step) {
      const { name, kind, input } = step.activity;
      const args = input === undefined ? [] : [input];
      started.set(name, scheduleActivity(kind, args, { startToCloseTimeout: '1 minute' }));
    } else if ('await' in step) {
      await started.get(step.await);
    } else {
      for (let time = 0; time < step.repeat.times; time++) {
        for (const inner of step.repeat.steps) await run(inner);
      }
    }
  };
  for (const step of steps) await run(step);
}
