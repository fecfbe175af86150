/**
 * Values on the wire, as Temporal's TypeScript SDK converts them: undefined is `binary/null`, a `Uint8Array` is
 * `binary/plain`, all else `json/plain`.
 */

import { host, type Payload } from './host';

export type { Payload };

/** A value that cannot be sent, or cannot be read. */
export class ValueError extends Error {
  constructor(message?: string, override readonly cause?: unknown) {
    super(message);
    this.name = 'ValueError';
  }
}

export class PayloadConverterError extends ValueError {
  constructor(message?: string, cause?: unknown) {
    super(message, cause);
    this.name = 'PayloadConverterError';
  }
}

/** Text as UTF-8. Halves of characters that JavaScript allows become the replacement character. */
export function encode(text: string): Uint8Array {
  return host.encodeText(text.toWellFormed());
}

export function decode(bytes: Uint8Array): string {
  return host.decodeText(bytes, false)!;
}

const ENCODING = 'encoding';
const NULL = encode('binary/null');
const BINARY = encode('binary/plain');
const JSON_PLAIN = encode('json/plain');
const JSON_PROTOBUF = encode('json/protobuf');
const NOTHING = new Uint8Array(0);

export interface PayloadConverter {
  toPayload<T>(value: T): Payload;
  fromPayload<T>(payload: Payload): T;
}

function payload(encoding: Uint8Array, data: Uint8Array): Payload {
  return { metadata: { [ENCODING]: encoding }, data };
}

export const defaultPayloadConverter: PayloadConverter = {
  toPayload<T>(value: T): Payload {
    if (value === undefined) return payload(NULL, NOTHING);
    if (value instanceof RawValue) return value.payload;
    if ((value as unknown) instanceof Uint8Array) return payload(BINARY, value as Uint8Array);
    let json: string | undefined;
    try {
      json = JSON.stringify(value);
    } catch (error) {
      throw new ValueError(`the value cannot be converted to JSON: ${(error as Error).message}`, error);
    }
    if (json === undefined) throw new ValueError(`a ${typeof value} cannot be converted to a payload`);
    return payload(JSON_PLAIN, encode(json));
  },

  fromPayload<T>({ metadata, data }: Payload): T {
    const encoding = metadata?.[ENCODING];
    if (!encoding) throw new ValueError('the payload does not say how it is encoded');
    switch (decode(encoding)) {
      case 'json/plain':
      case 'json/protobuf':
        if (!data?.length) throw new ValueError('the payload is said to be JSON, and is empty');
        return JSON.parse(decode(data));
      case 'binary/null':
        return undefined as T;
      case 'binary/plain':
        return (data ?? NOTHING) as T;
      default:
        throw new ValueError(`the payload's encoding is unknown: ${decode(encoding)}`);
    }
  },
};

/** A payload that passes through as it is. */
export class RawValue<T = unknown> {
  declare private readonly _type: T;
  constructor(readonly payload: Payload) {}

  static fromPayload<T>(payload: Payload): RawValue<T> {
    return new RawValue(payload);
  }
}

/** A protobuf message of this type, in its JSON. */
export function protobufJson(messageType: string, message: unknown): Payload {
  return {
    metadata: { [ENCODING]: JSON_PROTOBUF, messageType: encode(messageType) },
    data: encode(JSON.stringify(message)),
  };
}

export function toPayloads(values: readonly unknown[]): Payload[] {
  return values.map((value) => defaultPayloadConverter.toPayload(value));
}

export function fromPayloads(payloads: readonly Payload[] | null | undefined): any[] {
  return (payloads ?? []).map((payload) => defaultPayloadConverter.fromPayload(payload));
}

/** The only value: an activity that returns nothing may send no payload. */
export function fromFirst(payloads: readonly Payload[]): any {
  return payloads.length === 0 ? undefined : defaultPayloadConverter.fromPayload(payloads[0]!);
}

export function mapToPayloads(values: Record<string, unknown> | null | undefined): [string, Payload][] {
  return Object.entries(values ?? {}).map(([key, value]) => [key, defaultPayloadConverter.toPayload(value)]);
}

export function mapFromPayloads(pairs: readonly [string, Payload][]): Record<string, unknown> {
  return Object.fromEntries(pairs.map(([key, payload]) => [key, defaultPayloadConverter.fromPayload(payload)]));
}
