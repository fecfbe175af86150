/** Changing a workflow while runs of it are open. */

import { theRun } from './run';

/** True in runs that reach this place for the first time; false in those that were here before the change. */
export function patched(patchId: string): boolean {
  return theRun('Workflow.patched(...)').command('ask for a patch', (host) => host.patched(patchId)) ?? true;
}

/** Says that the old path of a change is gone. */
export function deprecatePatch(patchId: string): void {
  theRun('Workflow.deprecatePatch(...)').command('deprecate a patch', (host) => host.deprecatePatch(patchId));
}
