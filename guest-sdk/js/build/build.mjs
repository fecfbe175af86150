// From a workflow file to a component: bundle it, load it into the engine, keep the memory as it is then.

import { bundle } from './bundle.mjs';
import { BuildError } from './errors.mjs';
import { load } from './snapshot.mjs';
import { mapStack } from '../src/source-map.mjs';

/**
 * @param {string} workflow the path of the author's file
 * @param {Uint8Array} engine the component to put it into
 */
export async function build(workflow, engine) {
  const bundled = await bundle(workflow);
  let loaded = await load(engine, bundled.code, false);
  const postponed = loaded.answer.loadTime;
  if (postponed) loaded = await load(engine, bundled.code, true);
  const { error, workflowTypes } = loaded.answer;
  if (error) throw new BuildError(located(error, bundled));
  if (workflowTypes.length === 0) {
    throw new BuildError(`${workflow}: it exports no function: a workflow is an exported async function`);
  }
  return { component: loaded.component, workflowTypes, postponed, warnings: bundled.warnings };
}

/** An error while the module was loaded, where the author wrote it. */
function located(error, bundled) {
  const [message, ...stack] = error.split('\n');
  const isOurs = (source) => bundled.isOurs(source) || source === 'mainspring-entry.js';
  const frames = mapStack(stack.join('\n'), bundled.map, isOurs);
  return `the module cannot be loaded: ${message}\n${frames}`;
}
