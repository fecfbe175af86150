// The activity of the workflow: what touches the outside world.

import { NativeConnection, Worker } from '@temporalio/worker';

const connection = await NativeConnection.connect({ address: process.env.TEMPORAL_ADDRESS ?? 'localhost:7233' });
const worker = await Worker.create({
  connection,
  taskQueue: '{{name}}',
  activities: {
    async compose_greeting(name) {
      return `Hello, ${name}!`;
    },
  },
});
await worker.run();
