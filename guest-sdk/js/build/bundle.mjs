// One script of the author's files, the packages that they import, and the SDK.

import { existsSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

import * as esbuild from 'esbuild';

import { BuildError } from './errors.mjs';
import { nameGenerators } from './names.mjs';
import { SourceMap } from '../src/source-map.mjs';

const SDK = dirname(dirname(fileURLToPath(import.meta.url)));
/** What the SDK's own files are called in stack traces. */
const OURS = '@mainspring/workflow/';

/** What workflows import of Temporal's packages, and what serves it here. */
const SERVED = new Map([
  ['@temporalio/workflow', 'src/index.ts'],
  ['@temporalio/common', 'src/common.ts'],
  ['@mainspring/workflow', 'src/index.ts'],
  ['@mainspring/workflow/common', 'src/common.ts'],
]);

/**
 * @param {string} workflow the path of the author's file
 */
export async function bundle(workflow) {
  if (!existsSync(workflow)) throw new BuildError(`${workflow}: there is no such file`);
  const root = projectOf(dirname(workflow));
  const entry = `
    import { guest } from ${JSON.stringify(join(SDK, 'src', 'guest.ts'))};
    import * as workflows from ${JSON.stringify(workflow)};
    guest.register(workflows);
    globalThis.__mainspring_guest = guest;
  `;
  let result;
  try {
    result = await esbuild.build({
      stdin: { contents: entry, resolveDir: root, sourcefile: 'mainspring-entry.js' },
      absWorkingDir: root,
      outfile: join(root, 'workflow-bundle.js'),
      write: false,
      bundle: true,
      format: 'iife',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      conditions: ['import', 'default'],
      target: 'es2022',
      // The context of a chain of asynchronous calls is kept where promises are chained: see src/context.ts.
      supported: { 'async-await': false, 'async-generator': false, 'for-await': false },
      // A workflow may be named by its function.
      keepNames: true,
      minifyWhitespace: true,
      legalComments: 'none',
      charset: 'utf8',
      define: { 'process.env.NODE_ENV': '"production"' },
      sourcemap: 'external',
      sourcesContent: false,
      logLevel: 'silent',
      logOverride: { 'import-is-undefined': 'error' },
      plugins: [resolver(root)],
    });
  } catch (error) {
    if (!error.errors) throw error;
    throw new BuildError(error.errors.map((it) => described(it, 'error', root)).join('\n'));
  }
  const [mapFile, codeFile] = result.outputFiles;
  const { sources, mappings: before } = JSON.parse(mapFile.text);
  const { code, mappings } = nameGenerators(codeFile.text, before);
  const map = { sources: sources.map((source) => named(resolve(root, source), root)), mappings };
  // Not inside a function: the engine keeps the text of functions.
  const given = `globalThis.__mainspring_guest.setSourceMap(${JSON.stringify(map)},${JSON.stringify(OURS)})`;
  // What the script ends with is what it gives to the engine.
  const last = '(guest=>(delete globalThis.__mainspring_guest,guest))(globalThis.__mainspring_guest)';
  return {
    code: `${code};${given};${last}`,
    map: new SourceMap(map),
    isOurs: (source) => source.startsWith(OURS),
    warnings: result.warnings.map((it) => described(it, 'warning', root)),
  };
}

/** The nearest folder with a package.json, or the file's own. */
function projectOf(folder) {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return at;
    if (dirname(at) === at) return folder;
  }
}

/** A source as people are told of it: the same on every machine. */
function named(path, root) {
  const inSdk = relative(SDK, path);
  if (!inSdk.startsWith('..')) return OURS + inSdk.split(sep).join('/');
  return relative(root, path).split(sep).join('/');
}

function described({ text, location, notes }, kind, root) {
  // The SDK goes by the name that it is imported by.
  for (const [name, file] of SERVED) text = text.replace(relative(root, join(SDK, file)), name);
  const place = location ? `${location.file}:${location.line}:${location.column + 1}: ` : '';
  const hints = (notes ?? []).map((note) => `\n  ${note.text}`).join('');
  return `${place}${kind}: ${text}${hints}`;
}

/** Serves Temporal's packages, and says what is not available in a workflow. */
function resolver(root) {
  const builtIn = new Set(builtinModules.filter((name) => !name.startsWith('_')));
  return {
    name: 'mainspring',
    setup(build) {
      build.onResolve({ filter: /^@(temporalio|mainspring)\// }, ({ path }) => {
        const [scope, name] = path.split('/');
        const served = SERVED.get(path) ?? (scope === '@temporalio' ? SERVED.get(`${scope}/${name}`) : undefined);
        if (served) return { path: join(SDK, served) };
        return { errors: [{ text: `${path} is not available in a workflow; do it in an activity` }] };
      });
      build.onResolve({ filter: /^[a-z_:/0-9]+$/ }, ({ path, importer }) => {
        const name = path.replace(/^node:/, '');
        if (!path.startsWith('node:') && !builtIn.has(name)) return undefined;
        return { errors: [{ text: `${needing(importer, root)}${path} is not available in a workflow; do it in an activity` }] };
      });
      // Native code.
      build.onResolve({ filter: /\.node$/ }, ({ path, importer }) => ({
        errors: [{ text: `${needing(importer, root)}native code (${path}) is not available in a workflow; do it in an activity` }],
      }));
    },
  };
}

/** Which package it is that needs something, where it is not the author's own file. */
function needing(importer, root) {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(relative(root, importer).split(sep).join('/'));
  return found ? `the package ${found[1]} needs what a workflow has not: ` : '';
}
