/** Going on in a new run with an empty history. */

import { searchAttributesToHost, type SearchAttributePair, type SearchAttributes, type TypedSearchAttributes } from './attributes';
import type { Workflow } from './definitions';
import { timeout, type Duration } from './duration';
import { mapToPayloads, toPayloads, type Payload } from './payload';
import { ContinueAsNew, theRun } from './run';

/** What is not given stays as it is. */
export interface ContinueAsNewOptions {
  workflowType?: string;
  taskQueue?: string;
  workflowRunTimeout?: Duration;
  workflowTaskTimeout?: Duration;
  memo?: Record<string, unknown>;
  searchAttributes?: SearchAttributes;
  typedSearchAttributes?: SearchAttributePair[] | TypedSearchAttributes;
  versioningIntent?: unknown;
  eventGroups?: unknown[];
}

/** A function that ends this run and goes on in a new one, with these options. */
export function makeContinueAsNewFunc<F extends Workflow>(
  options: ContinueAsNewOptions = {},
): (...args: Parameters<F>) => Promise<never> {
  theRun('Workflow.continueAsNew(...)');
  const { searchAttributes, typedSearchAttributes } = options;
  return async (...args) => {
    theRun('Workflow.continueAsNew(...)').changes('continue as new');
    throw new ContinueAsNew({
      workflowType: options.workflowType,
      taskQueue: options.taskQueue,
      input: toPayloads(args),
      runTimeout: timeout('workflowRunTimeout', options.workflowRunTimeout),
      taskTimeout: timeout('workflowTaskTimeout', options.workflowTaskTimeout),
      memo: options.memo && mapToPayloads(options.memo),
      searchAttributes:
        searchAttributes || typedSearchAttributes
          ? searchAttributesToHost(searchAttributes, typedSearchAttributes).filter(
              (pair): pair is [string, Payload] => pair[1] !== undefined,
            )
          : undefined,
      header: [],
    });
  };
}

/** Ends this run and goes on in a new one, which begins with these arguments. */
export function continueAsNew<F extends Workflow>(...args: Parameters<F>): Promise<never> {
  return makeContinueAsNewFunc<F>()(...args);
}
