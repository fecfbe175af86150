// Temporal's own worker with a workflow file: `node worker.mjs ADDRESS TASK_QUEUE FILE`. Activities are somebody else's.

import { resolve } from 'node:path';

import { NativeConnection, Runtime, Worker, DefaultLogger } from '@temporalio/worker';

const [address, taskQueue, file] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger('ERROR') });
const connection = await NativeConnection.connect({ address });
// No cache: every workflow task goes to the task queue itself, as Mainspring's do, and not to a worker's own.
const worker = await Worker.create({
  connection,
  taskQueue,
  workflowsPath: resolve(file),
  maxCachedWorkflows: 0,
});
console.log('ready');
process.on('SIGTERM', () => worker.shutdown());
await worker.run();
await connection.close();
