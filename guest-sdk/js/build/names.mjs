// An async function has become a function that runs a generator; the generator is what stack traces show. It is given the
// name of the function, with a mark that nobody else uses and that is taken off where a trace is shown.

import { read } from '../src/source-map.mjs';

const NAME = '([\\w$]+)';
const ARGS = '(?:\\([^()]*\\)|[\\w$]+)';
const BEGIN = '__async\\([\\w$]+,[\\w$]+,function\\*';
/** `function f(a){return __async(…`, also a method; `f=__name(a=>__async(…`. */
const PATTERN = new RegExp(`${NAME}${ARGS}\\{return ${BEGIN}|${NAME}=(?:__name\\()?${ARGS}=>${BEGIN}`, 'g');

/** The code with names, and the mappings that fit it. */
export function nameGenerators(code, mappings) {
  const lines = code.split('\n');
  const inserted = lines.map(() => []);
  const named = lines.map((line, index) =>
    line.replace(PATTERN, (found, byFunction, byVariable, at) => {
      const name = ` ${byFunction ?? byVariable}$async`;
      inserted[index].push({ at: at + found.length, length: name.length });
      return found + name;
    }),
  );
  return { code: named.join('\n'), mappings: shifted(mappings, inserted) };
}

function shifted(mappings, inserted) {
  let before = { source: 0, line: 0, column: 0 };
  return read(mappings)
    .map((segments, index) => {
      let generated = 0;
      const moves = [...(inserted[index] ?? [])];
      let moved = 0;
      return segments
        .map((segment) => {
          while (moves.length && moves[0].at <= segment.generated) moved += moves.shift().length;
          const column = segment.generated + moved;
          const { source, line } = segment;
          const numbers = [column - generated, source - before.source, line - before.line, segment.column - before.column];
          generated = column;
          before = segment;
          return numbers.map(encode).join('');
        })
        .join(',');
    })
    .join(';');
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function encode(number) {
  let rest = number < 0 ? -number * 2 + 1 : number * 2;
  let text = '';
  do {
    const bits = rest % 32;
    rest = Math.floor(rest / 32);
    text += DIGITS[rest ? bits + 32 : bits];
  } while (rest);
  return text;
}
