/** What a workflow tells people about itself: the built-in queries, and its current details. */

import { workflowInfo } from './info';
import { protobufJson, RawValue } from './payload';
import { theRun } from './run';
import type { Described } from './messages';

export function setCurrentDetails(details: string): void {
  const run = theRun('Workflow.setCurrentDetails(...)');
  run.changes('set the current details');
  run.currentDetails = details;
}

export function getCurrentDetails(): string {
  return theRun('Workflow.getCurrentDetails(...)').currentDetails;
}

export function builtInQueries(known: {
  queries: Described[];
  signals: Described[];
  updates: Described[];
}): Record<string, (() => unknown) | undefined> {
  return {
    __proto__: null as never,
    __stack_trace: stackTrace,
    __temporal_workflow_metadata() {
      const list = (described: Described[]) => (described.length ? described : undefined);
      return RawValue.fromPayload(
        protobufJson('temporal.api.sdk.v1.WorkflowMetadata', {
          definition: {
            type: workflowInfo().workflowType,
            queryDefinitions: list(known.queries),
            signalDefinitions: list(known.signals),
            updateDefinitions: list(known.updates),
          },
          currentDetails: theRun('a query').currentDetails || undefined,
        }),
      );
    },
  };
}

/** JavaScript keeps no stacks of what waits; so this says what it waits for. */
function stackTrace(): string {
  const run = theRun('a query');
  if (run.closed) return '';
  const lines = [...run.pending].map(([number, { what }]) => `    ${what} (operation ${number})`);
  if (run.conditions.size) lines.push(`    ${run.conditions.size} condition(s)`);
  return lines.length ? `the workflow waits for\n${lines.join('\n')}\n` : 'the workflow waits for a message\n';
}
