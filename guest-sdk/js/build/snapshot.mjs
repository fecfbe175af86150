// Loads a bundle into the engine, and makes a component that begins with the engine's memory as it is then: so no run
// pays for the start of the interpreter, nor for the evaluation of the bundle.

import { BuildError } from './errors.mjs';
import { concat, leb, readLeb, section, sections, signedLeb } from './wasm.mjs';

const CORE_MODULE = 1; // a section of a component
const [CUSTOM, MEMORY, GLOBAL, START, DATA, DATA_COUNT] = [0, 5, 6, 8, 11, 12]; // sections of a core module
const PAGE = 65_536;
/** Zeros between two pieces of data that are cheaper to store than another piece. */
const GAP_BYTES = 32;

/**
 * @param {Uint8Array} engine
 * @param {string} bundle
 * @param {boolean} postpone evaluate the bundle when a run begins, not now
 */
export async function load(engine, bundle, postpone) {
  const nested = sections(engine).filter(({ id }) => id === CORE_MODULE);
  // The others are a few hundred bytes that join it to the component's imports.
  const main = nested.reduce((a, b) => (b.end - b.start > a.end - a.start ? b : a));
  const module = engine.subarray(main.start, main.end);
  const compiled = await WebAssembly.compile(module);
  const { exports } = await WebAssembly.instantiate(compiled, refusing(compiled, () => exports.memory));
  const code = new TextEncoder().encode(bundle);
  const buffer = exports.mainspring_bundle_buffer(code.length);
  new Uint8Array(exports.memory.buffer).set(code, buffer);
  const at = exports.mainspring_load(buffer, code.length, postpone ? 1 : 0);
  const memory = new Uint8Array(exports.memory.buffer);
  const length = new DataView(memory.buffer).getUint32(at, true);
  const answer = JSON.parse(new TextDecoder().decode(memory.subarray(at + 4, at + 4 + length)));
  const initialised = section(CORE_MODULE, withMemory(module, memory));
  return { answer, component: concat([engine.subarray(0, main.begin), initialised, engine.subarray(main.end)]) };
}

/** While a module is loaded there is no run, so nothing can be asked of the host. */
function refusing(compiled, memory) {
  const imports = {};
  for (const { module, name } of WebAssembly.Module.imports(compiled)) {
    imports[module] ??= {};
    imports[module][name] = (...args) => {
      const said = name === 'write' ? `: ${text(memory(), args[1], args[2])}` : '';
      throw new BuildError(`the module calls ${module}/${name} while it is loaded${said}`);
    };
  }
  return imports;
}

function text(memory, at, length) {
  return new TextDecoder().decode(new Uint8Array(memory.buffer, at, length));
}

/** The module with this as its initial memory. */
function withMemory(module, memory) {
  const pieces = dataOf(memory);
  const parts = [module.subarray(0, 8)];
  for (const { id, begin, start, end } of sections(module)) {
    switch (id) {
      case MEMORY:
        parts.push(section(MEMORY, withPages(module.subarray(start, end), memory.length / PAGE)));
        break;
      case GLOBAL:
        checkGlobals(module, start);
        parts.push(module.subarray(begin, end));
        break;
      case DATA_COUNT:
        parts.push(section(DATA_COUNT, Uint8Array.from(leb(pieces.length))));
        break;
      case DATA:
        checkData(module, start);
        parts.push(section(DATA, concat([Uint8Array.from(leb(pieces.length)), ...pieces.map(dataSegment)])));
        break;
      case START:
        throw new Error('the engine has a start function, which would run again');
      case CUSTOM:
        break;
      default:
        parts.push(module.subarray(begin, end));
    }
  }
  return concat(parts);
}

function withPages(content, pages) {
  const [count, flagsAt] = readLeb(content, 0);
  if (count !== 1) throw new Error('the engine has more than one memory');
  const [, rest] = readLeb(content, flagsAt + 1);
  return concat([content.subarray(0, flagsAt + 1), Uint8Array.from(leb(pages)), content.subarray(rest)]);
}

/** The stack pointer stands where it stood when the call has returned; another global would be lost. */
function checkGlobals(module, start) {
  let [count, at] = readLeb(module, start);
  let mutable = 0;
  for (; count > 0; count--) {
    const [, isMutable, opcode] = module.subarray(at, at + 3);
    if (opcode !== 0x41) throw new Error('the engine has a global of a kind that is not expected');
    mutable += isMutable;
    at += 3;
    while (module[at] & 0x80) at++;
    at += 2; // the last byte of the number, and the end of the expression
  }
  if (mutable !== 1) throw new Error('the engine keeps state in globals');
}

/** All data lies in memory from the beginning: none is copied there later, over what was kept. */
function checkData(module, start) {
  let [count, at] = readLeb(module, start);
  for (; count > 0; count--) {
    if (module[at] !== 0) throw new Error('the engine has data that is not in memory from the beginning');
    at += 2; // the kind, and the opcode of the address
    while (module[at] & 0x80) at++;
    const [length, content] = readLeb(module, at + 2);
    at = content + length;
  }
}

/** Where memory is not zero. */
function dataOf(memory) {
  const words = new BigUint64Array(memory.buffer);
  const pieces = [];
  const gapWords = GAP_BYTES / 8;
  for (let at = 0; at < words.length; at++) {
    if (words[at] === 0n) continue;
    const begin = at;
    let end = at + 1;
    for (let next = end; next < words.length && next - end < gapWords; next++) {
      if (words[next] !== 0n) end = next + 1;
    }
    pieces.push({ address: begin * 8, content: memory.subarray(begin * 8, end * 8) });
    at = end - 1;
  }
  return pieces;
}

function dataSegment({ address, content }) {
  return concat([Uint8Array.from([0, 0x41, ...signedLeb(address | 0), 0x0b, ...leb(content.length)]), content]);
}
