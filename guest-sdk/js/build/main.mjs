#!/usr/bin/env node
// Makes a workflow component of TypeScript or JavaScript: `mainspring-js WORKFLOW.ts -o OUT.wasm`.

import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { build } from './build.mjs';
import { BuildError } from './errors.mjs';

const SDK = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where a project keeps its workflows. */
const USUAL = ['workflows', 'workflow', 'src/workflows', 'src/workflow'].flatMap((name) => [`${name}.ts`, `${name}.js`]);

const USAGE = `Makes a workflow component of a TypeScript or JavaScript file, whose exported functions are its workflows.

usage: mainspring-js WORKFLOW [-o FILE]

WORKFLOW is a file, or a folder with one of ${USUAL.join(', ')}.

  -o, --output FILE   where to write the component; WORKFLOW with the ending .wasm unless given
      --engine FILE   the engine to put it into; the SDK's own unless given
      --json          print what was made as JSON
`;

async function main() {
  let options;
  try {
    options = parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        engine: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new BuildError(`${error.message}\n\n${USAGE}`, 2);
  }
  const { values, positionals } = options;
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const [path, ...more] = positionals;
  if (!path || more.length) throw new BuildError(USAGE, 2);
  const workflow = await workflowOf(path);
  const output = values.output ?? join(dirname(workflow), `${basename(workflow, extname(workflow))}.wasm`);
  const engine = await readEngine(values.engine ?? process.env.MAINSPRING_JS_ENGINE ?? join(SDK, 'dist', 'engine.wasm'));
  const made = await build(resolve(workflow), engine);
  await writeFile(output, made.component);
  if (values.json) {
    const { component, ...rest } = made;
    console.log(JSON.stringify({ output, bytes: component.length, ...rest }));
    return;
  }
  made.warnings.forEach((warning) => console.error(warning));
  console.log(`${output}: ${made.component.length} bytes`);
  console.log(`workflow types: ${made.workflowTypes.join(', ')}`);
  if (made.postponed) {
    console.log(`the module is evaluated at the start of each run, as ${made.postponed} while it is loaded`);
  }
}

/** The file that is meant: a folder may have it in one of the usual places. */
async function workflowOf(path) {
  const isFolder = await stat(path).then((it) => it.isDirectory(), () => false);
  if (!isFolder) return path;
  const found = USUAL.map((name) => join(path, name)).find((file) => existsSync(file));
  if (!found) throw new BuildError(`${path}: this folder has none of ${USUAL.join(', ')}`);
  return found;
}

async function readEngine(path) {
  try {
    return await readFile(path);
  } catch (error) {
    throw new BuildError(`the engine ${path} cannot be read: ${error.message}; \`make js\` builds it`);
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message.trimEnd());
  process.exitCode = error.exitCode;
}
