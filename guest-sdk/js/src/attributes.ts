/** What the run shows of itself to lists and filters: memo and search attributes. */

import type { Payload } from './host';
import { workflowInfo, changeInfo } from './info';
import { decode, defaultPayloadConverter, encode, ValueError } from './payload';
import { theRun } from './run';

export const SearchAttributeType = {
  TEXT: 'TEXT',
  KEYWORD: 'KEYWORD',
  INT: 'INT',
  DOUBLE: 'DOUBLE',
  BOOL: 'BOOL',
  DATETIME: 'DATETIME',
  KEYWORD_LIST: 'KEYWORD_LIST',
} as const;
export type SearchAttributeType = (typeof SearchAttributeType)[keyof typeof SearchAttributeType];

interface Values {
  TEXT: string;
  KEYWORD: string;
  INT: number;
  DOUBLE: number;
  BOOL: boolean;
  DATETIME: Date;
  KEYWORD_LIST: string[];
}

/** As Temporal names them on the wire. */
const WIRE: Record<SearchAttributeType, string> = {
  TEXT: 'Text',
  KEYWORD: 'Keyword',
  INT: 'Int',
  DOUBLE: 'Double',
  BOOL: 'Bool',
  DATETIME: 'Datetime',
  KEYWORD_LIST: 'KeywordList',
};

export type SearchAttributeValue = string[] | number[] | boolean[] | Date[];
export type SearchAttributeValueOrReadonly = SearchAttributeValue | Readonly<SearchAttributeValue> | undefined;
export type SearchAttributes = Record<string, SearchAttributeValueOrReadonly>;

export interface SearchAttributeKey<T extends SearchAttributeType> {
  name: string;
  type: T;
}
export type SearchAttributePair = {
  [T in SearchAttributeType]: { key: SearchAttributeKey<T>; value: Values[T] };
}[SearchAttributeType];
export type SearchAttributeUpdatePair = {
  [T in SearchAttributeType]: { key: SearchAttributeKey<T>; value: Values[T] | null };
}[SearchAttributeType];

export function defineSearchAttributeKey<T extends SearchAttributeType>(name: string, type: T): SearchAttributeKey<T> {
  return { name, type };
}

function fits(type: SearchAttributeType, value: unknown): boolean {
  switch (type) {
    case 'TEXT':
    case 'KEYWORD':
      return typeof value === 'string';
    case 'INT':
      return Number.isInteger(value);
    case 'DOUBLE':
      return typeof value === 'number';
    case 'BOOL':
      return typeof value === 'boolean';
    case 'DATETIME':
      return value instanceof Date;
    case 'KEYWORD_LIST':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
  }
}

/** Search attributes that know their types. */
export class TypedSearchAttributes {
  readonly #pairs = new Map<string, SearchAttributePair>();

  constructor(initial: SearchAttributePair[] = []) {
    for (const pair of initial) {
      if (this.#pairs.has(pair.key.name)) throw new Error(`Duplicate search attribute key: ${pair.key.name}`);
      this.#pairs.set(pair.key.name, pair);
    }
  }

  get<T extends SearchAttributeType>(key: SearchAttributeKey<T>): Values[T] | undefined {
    const value = this.#pairs.get(key.name)?.value;
    return fits(key.type, value) ? (value as Values[T]) : undefined;
  }

  getAll(): SearchAttributePair[] {
    return [...this.#pairs.values()];
  }

  copy(): TypedSearchAttributes {
    return this.updateCopy([]);
  }

  updateCopy(updates: SearchAttributeUpdatePair[]): TypedSearchAttributes {
    const pairs = new Map(this.#pairs);
    for (const update of updates) {
      if (update.value === null) {
        pairs.delete(update.key.name);
      } else {
        pairs.set(update.key.name, update as SearchAttributePair);
      }
    }
    return new TypedSearchAttributes([...pairs.values()]);
  }

  toJSON(): SearchAttributePair[] {
    return this.getAll();
  }
}

function typedPayload({ key, value }: SearchAttributeUpdatePair): Payload | undefined {
  if (value === null) return undefined;
  if (!fits(key.type, value)) {
    throw new ValueError(`Invalid search attribute value ${String(value)} for given type ${key.type}`);
  }
  const payload = defaultPayloadConverter.toPayload(value);
  return { ...payload, metadata: { ...payload.metadata, type: encode(WIRE[key.type]) } };
}

function untypedPayload(values: SearchAttributeValueOrReadonly): Payload | undefined {
  if (!Array.isArray(values)) throw new ValueError('SearchAttribute value must be an array');
  // An empty list is how such an attribute is unset.
  if (values.length === 0) return undefined;
  const allowed = (value: unknown) => value instanceof Date || ['string', 'number', 'boolean'].includes(typeof value);
  if (!values.every((value) => allowed(value) && typeof value === typeof values[0])) {
    throw new ValueError('SearchAttribute values must be arrays of strings, numbers, booleans or Dates, of one type');
  }
  return defaultPayloadConverter.toPayload(values);
}

/** Both forms; where they name the same attribute, the typed one stands. */
export function searchAttributesToHost(
  untyped?: SearchAttributes,
  typed?: SearchAttributeUpdatePair[] | TypedSearchAttributes,
): [string, Payload | undefined][] {
  const fields = new Map<string, Payload | undefined>();
  for (const [name, values] of Object.entries(untyped ?? {})) fields.set(name, untypedPayload(values));
  const pairs = typed instanceof TypedSearchAttributes ? typed.getAll() : (typed ?? []);
  for (const pair of pairs) fields.set(pair.key.name, typedPayload(pair));
  return [...fields];
}

export function searchAttributesFromHost(fields: [string, Payload][]): {
  untyped: SearchAttributes;
  typed: TypedSearchAttributes;
} {
  const untyped: SearchAttributes = {};
  const pairs: SearchAttributePair[] = [];
  for (const [name, payload] of fields) {
    const wire = payload.metadata?.type && decode(payload.metadata.type);
    const type = (Object.keys(WIRE) as SearchAttributeType[]).find((type) => WIRE[type] === wire);
    let values: any = defaultPayloadConverter.fromPayload(payload);
    if (values === undefined || values === null) continue;
    values = Array.isArray(values) ? values : [values];
    if (type === 'DATETIME') values = values.map((value: string) => new Date(value));
    if (values.length > 0) untyped[name] = values;
    const value = type === 'KEYWORD_LIST' ? values : values[0];
    if (type && (type === 'KEYWORD_LIST' || values.length === 1) && fits(type, value)) {
      pairs.push({ key: { name, type }, value } as SearchAttributePair);
    }
  }
  return { untyped, typed: new TypedSearchAttributes(pairs) };
}

/** Sets search attributes, which must be registered; null or an empty list unsets one. */
export function upsertSearchAttributes(attributes: SearchAttributes | SearchAttributeUpdatePair[]): void {
  const run = theRun('Workflow.upsertSearchAttributes(...)');
  if (attributes === undefined || attributes === null) throw new Error('searchAttributes must be a non-null SearchAttributes');
  const typed = Array.isArray(attributes);
  const fields = typed ? searchAttributesToHost(undefined, attributes) : searchAttributesToHost(attributes);
  run.command('change search attributes', (host) => host.upsertSearchAttributes(fields));
  const info = workflowInfo();
  const before = { ...info.searchAttributes };
  const listed = (value: unknown) => (value === null ? [] : Array.isArray(value) ? value : [value]);
  const changes: SearchAttributes = typed
    ? Object.fromEntries(attributes.map(({ key, value }) => [key.name, listed(value) as SearchAttributeValue]))
    : attributes;
  const merged = Object.entries({ ...before, ...changes }).filter(([, values]) => values && values.length > 0);
  changeInfo({
    searchAttributes: Object.fromEntries(merged) as SearchAttributes,
    typedSearchAttributes: typed ? info.typedSearchAttributes.updateCopy(attributes) : info.typedSearchAttributes,
  });
}

/** Adds to the memo; null takes a field out of it. */
export function upsertMemo(memo: Record<string, unknown>): void {
  const run = theRun('Workflow.upsertMemo(...)');
  if (memo === undefined || memo === null) throw new Error('memo must be a non-null Record');
  const gone = (value: unknown) => value === null || value === undefined;
  const fields = Object.entries(memo).map(([name, value]): [string, Payload | undefined] => [
    name,
    gone(value) ? undefined : defaultPayloadConverter.toPayload(value),
  ]);
  run.command('change the memo', (host) => host.upsertMemo(fields));
  const merged = Object.entries({ ...workflowInfo().memo, ...memo }).filter(([, value]) => !gone(value));
  changeInfo({ memo: Object.fromEntries(merged) });
}
