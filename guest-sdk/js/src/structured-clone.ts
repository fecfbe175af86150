/** `structuredClone`: a deep copy of plain data, with what it refers to more than once referred to as often. */
export function clone<T>(value: T): T {
  return copy(value, new Map()) as T;
}

function copy(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw Object.assign(new Error(`${String(value)} could not be cloned.`), { name: 'DataCloneError' });
  }
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const keep = <C>(made: C): C => (seen.set(value, made), made);
  if (value instanceof Date) return keep(new Date(value));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (ArrayBuffer.isView(value)) {
    const buffer = copy(value.buffer, seen) as ArrayBuffer;
    if (value instanceof DataView) return keep(new DataView(buffer, value.byteOffset, value.byteLength));
    const Kind = value.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView;
    return keep(new Kind(buffer, value.byteOffset, (value as Uint8Array).length));
  }
  if (value instanceof Map) {
    const made = keep(new Map());
    for (const [key, item] of value) made.set(copy(key, seen), copy(item, seen));
    return made;
  }
  if (value instanceof Set) {
    const made = keep(new Set());
    for (const item of value) made.add(copy(item, seen));
    return made;
  }
  if (value instanceof Error) {
    const made = keep(new Error(value.message));
    Object.defineProperty(made, 'name', { value: value.name, configurable: true, writable: true });
    made.stack = value.stack;
    if ('cause' in value) made.cause = copy(value.cause, seen);
    return made;
  }
  const made = keep(Array.isArray(value) ? new Array(value.length) : {}) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) made[key] = copy(item, seen);
  return made;
}
