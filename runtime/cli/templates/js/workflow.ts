// A workflow that greets. Its activity runs in worker.mjs.

import { log, proxyActivities } from '@temporalio/workflow';

interface Activities {
  compose_greeting(name: string): Promise<string>;
}

const { compose_greeting } = proxyActivities<Activities>({
  startToCloseTimeout: '10s',
  retry: { maximumAttempts: 3 },
});

/** Clients start it as `Greet`. */
export async function Greet(name: string): Promise<string> {
  const greeting = await compose_greeting(name);
  log.info(`composed: ${greeting}`);
  return greeting;
}
