/**
 * Fan-out of children: a library is counted by a child workflow for each book, so many at once. Each child has a history
 * and a fate of its own; one that fails is a line of the report, and not the end of the others.
 */

import {
  ApplicationFailure,
  executeChild,
  isCancellation,
  log,
  ParentClosePolicy,
  proxyActivities,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';

interface Library {
  books: string[];
  at_once: number;
  /** How long after the counting the report is published. */
  publish_after_ms: number;
}

interface Report {
  words: Record<string, number>;
  failed: Record<string, string>;
}

interface Activities {
  count_words(book: string): Promise<number>;
  publish(report: Report): Promise<void>;
}

const { count_words } = proxyActivities<Activities>({
  startToCloseTimeout: '1 minute',
  retry: { maximumAttempts: 3 },
});
const { publish } = proxyActivities<Activities>({ startToCloseTimeout: '1 minute' });

export async function CountLibrary(library: Library): Promise<Report> {
  const ownId = workflowInfo().workflowId;
  const report: Report = { words: {}, failed: {} };
  const waiting = [...library.books];

  // So many of these run at once, each with one child at a time.
  const counter = async () => {
    for (let book = waiting.shift(); book !== undefined; book = waiting.shift()) {
      try {
        // Should this workflow close before its children, by a timeout or by force, they are terminated: nobody is left
        // who wants to know. That is the default parent close policy.
        report.words[book] = await executeChild(CountBook, { args: [book], workflowId: `${ownId}/${book}` });
      } catch (error) {
        if (isCancellation(error)) throw error;
        report.failed[book] = reason(error);
      }
    }
  };
  await Promise.all(Array.from({ length: library.at_once }, counter));

  // This child is started and then left alone: it goes on after its parent has ended.
  const publication = await startChild(PublishReport, {
    args: [report, library.publish_after_ms],
    workflowId: `${ownId}-publication`,
    parentClosePolicy: ParentClosePolicy.ABANDON,
  });
  log.info(`${publication.workflowId} publishes the report`);
  return report;
}

/** The first cause, with its type. */
function reason(error: unknown): string {
  let first = error as Error;
  while (first.cause instanceof Error) first = first.cause;
  return first instanceof ApplicationFailure && first.type ? `${first.message} (${first.type})` : first.message;
}

export async function CountBook(book: string): Promise<number> {
  return await count_words(book);
}

export async function PublishReport(report: Report, afterMs: number): Promise<void> {
  await sleep(afterMs);
  await publish(report);
}
