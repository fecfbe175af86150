/** Stack traces that name the author's own files. */

import { mapStack, SourceMap } from './source-map.mjs';

let map: SourceMap | undefined;
let sdkSources = '';

/** The builder gives the map, and what the sources of the SDK begin with. */
export function setSourceMap(given: { sources: string[]; mappings: string }, sdk: string): void {
  map = new SourceMap(given);
  sdkSources = sdk;
}

/** The frames, without the line that names the error. */
export function mapped(stack: string): string {
  // One from elsewhere, such as an activity's, names places that are not ours to look up.
  if (!stack.includes('workflow-bundle.js')) return stack;
  return mapStack(stack, map, (source) => source.startsWith(sdkSources));
}
