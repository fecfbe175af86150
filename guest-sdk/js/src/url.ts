/**
 * `URL` and `URLSearchParams`, as far as addresses of the web go: special schemes are parsed in full, but for host names
 * that are not ASCII; of others there is no resolving of relative references.
 */

import { decode, encode } from './payload';

const PORTS: Record<string, string> = { 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443', 'ftp:': '21', 'file:': '' };

/** What is encoded in which part, besides controls and what is not ASCII. */
const IN_FRAGMENT = ' "<>`';
const IN_QUERY = ' "#<>\'';
const IN_PATH = ' "#<>?`{}';
const IN_USER = IN_PATH + '/:;=@[\\]^|';

function percent(text: string, set: string): string {
  let encoded = '';
  for (const character of text) {
    if (character >= ' ' && character < '\u007f' && !set.includes(character)) {
      encoded += character;
    } else {
      for (const byte of encode(character)) encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    }
  }
  return encoded;
}

function invalid(input: string): TypeError {
  return Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL', input });
}

/** How a URL and its parameters know of each other. */
let listen: (params: URLSearchParams, changed: (search: string) => void) => void;
let replace: (params: URLSearchParams, search: string) => void;

export class URL {
  #protocol = '';
  #username = '';
  #password = '';
  /** Undefined where there is none, as in `mailto:`. */
  #hostname: string | undefined;
  #port = '';
  #pathname = '';
  #search = '';
  #hash = '';
  readonly searchParams: URLSearchParams;

  constructor(input: string | URL, base?: string | URL) {
    this.#parse(String(input), base === undefined ? undefined : new URL(String(base)));
    this.searchParams = new URLSearchParams(this.#search);
    listen(this.searchParams, (search) => (this.#search = search && `?${search}`));
  }

  static canParse(input: string | URL, base?: string | URL): boolean {
    try {
      return Boolean(new URL(input, base));
    } catch {
      return false;
    }
  }

  #parse(given: string, base: URL | undefined): void {
    let rest = given.replace(/^[\u0000-\u0020]+|[\u0000-\u0020]+$/g, '').replace(/[\t\n\r]/g, '');
    const hash = /#(.*)$/s.exec(rest);
    if (hash) {
      this.#hash = hash[1] ? `#${percent(hash[1], IN_FRAGMENT)}` : '';
      rest = rest.slice(0, hash.index);
    }
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(rest);
    if (scheme) {
      this.#protocol = scheme[0].toLowerCase();
      rest = rest.slice(scheme[0].length);
      const sameAsBase = base && base.protocol === this.#protocol && this.#isSpecial && !/^[/\\]/.test(rest);
      if (!sameAsBase) return this.#parseAbsolute(given, rest);
    }
    if (!base || (base.#hostname === undefined && rest)) throw invalid(given);
    this.#protocol = base.#protocol;
    if (this.#isSpecial) rest = rest.replace(/^[^?]*/, (path) => path.replaceAll('\\', '/'));
    if (rest.startsWith('//')) return this.#parseAbsolute(given, rest);
    this.#username = base.#username;
    this.#password = base.#password;
    this.#hostname = base.#hostname;
    this.#port = base.#port;
    const [, path, query] = /^([^?]*)(\?.*)?$/s.exec(rest)!;
    if (!path) {
      this.#pathname = base.#pathname;
      this.#setSearch(query ?? base.#search);
    } else {
      const folder = base.#pathname.slice(0, base.#pathname.lastIndexOf('/') + 1);
      this.#setPath(path.startsWith('/') ? path : folder + path);
      this.#setSearch(query ?? '');
    }
  }

  #parseAbsolute(given: string, rest: string): void {
    const [, before, query] = /^([^?]*)(\?.*)?$/s.exec(rest)!;
    let path = before!;
    if (this.#isSpecial) {
      path = path.replaceAll('\\', '/');
      if (this.#protocol !== 'file:') path = `//${path.replace(/^\/*/, '')}`;
    }
    const authority = /^\/\/([^/]*)/.exec(path);
    if (authority) {
      this.#setAuthority(given, authority[1]!);
      path = path.slice(authority[0].length);
    } else if (this.#protocol === 'file:') {
      this.#hostname = '';
    }
    if (this.#hostname === undefined && !path.startsWith('/')) {
      this.#pathname = percent(path, '');
    } else {
      this.#setPath(path);
    }
    this.#setSearch(query ?? '');
  }

  #setAuthority(given: string, authority: string): void {
    const at = authority.lastIndexOf('@');
    if (at >= 0) {
      const [, user, password] = /^([^:]*):?(.*)$/s.exec(authority.slice(0, at))!;
      this.#username = percent(user!, IN_USER);
      this.#password = percent(password!, IN_USER);
    }
    const parts = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(authority.slice(at + 1));
    if (!parts) throw invalid(given);
    this.#setHost(given, parts[1]!);
    this.#setPort(given, parts[2] ?? '');
  }

  #setHost(given: string, name: string): void {
    if (!this.#isSpecial) {
      this.#hostname = percent(name, '');
      return;
    }
    const host = decodePercent(name).toLowerCase();
    if (!host && this.#protocol !== 'file:') throw invalid(given);
    if (!host.startsWith('[') && /[\u0000-\u0020"#%/:<>?@[\\\]^`{|}\u007f-\uffff]/.test(host)) throw invalid(given);
    this.#hostname = this.#protocol === 'file:' && host === 'localhost' ? '' : host;
  }

  #setPort(given: string, port: string): void {
    if (Number(port) > 65_535) throw invalid(given);
    const number = port && String(Number(port));
    this.#port = number === PORTS[this.#protocol] ? '' : number;
  }

  #setPath(path: string): void {
    const segments: string[] = [];
    const parts = path.split('/').slice(1);
    parts.forEach((part, index) => {
      const last = index === parts.length - 1;
      const plain = part.replace(/%2e/gi, '.');
      if (plain === '..') segments.pop();
      if (plain === '.' || plain === '..') {
        if (last) segments.push('');
      } else {
        segments.push(percent(part, IN_PATH));
      }
    });
    this.#pathname = segments.length || this.#isSpecial ? `/${segments.join('/')}` : '';
  }

  #setSearch(search: string): void {
    const query = search.replace(/^\?/, '');
    this.#search = query && `?${percent(query, this.#isSpecial ? IN_QUERY : IN_QUERY.replace("'", ''))}`;
  }

  get #isSpecial(): boolean {
    return this.#protocol in PORTS;
  }

  get href(): string {
    const user = this.#username || this.#password ? `${this.#username}${this.#password && `:${this.#password}`}@` : '';
    const authority = this.#hostname === undefined ? '' : `//${user}${this.host}`;
    return `${this.#protocol}${authority}${this.#pathname}${this.#search}${this.#hash}`;
  }
  get origin(): string {
    return this.#isSpecial && this.#protocol !== 'file:' ? `${this.#protocol}//${this.host}` : 'null';
  }
  get protocol(): string {
    return this.#protocol;
  }
  set protocol(protocol: string) {
    const wanted = `${protocol.replace(/:.*$/s, '').toLowerCase()}:`;
    if (wanted in PORTS === this.#isSpecial) this.#protocol = wanted;
    this.#setPort('', this.#port);
  }
  get username(): string {
    return this.#username;
  }
  set username(username: string) {
    if (this.#hostname) this.#username = percent(username, IN_USER);
  }
  get password(): string {
    return this.#password;
  }
  set password(password: string) {
    if (this.#hostname) this.#password = percent(password, IN_USER);
  }
  get host(): string {
    return `${this.#hostname ?? ''}${this.#port && `:${this.#port}`}`;
  }
  set host(host: string) {
    const parts = /^(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?/.exec(host)!;
    this.#setHost(host, parts[1]!);
    if (parts[2] !== undefined) this.#setPort(host, parts[2]);
  }
  get hostname(): string {
    return this.#hostname ?? '';
  }
  set hostname(hostname: string) {
    this.#setHost(hostname, hostname.replace(/[/?#].*$/s, ''));
  }
  get port(): string {
    return this.#port;
  }
  set port(port: string | number) {
    const digits = /^\d*/.exec(String(port))![0];
    if (digits || port === '') this.#setPort(String(port), digits);
  }
  get pathname(): string {
    return this.#pathname;
  }
  set pathname(pathname: string) {
    if (this.#hostname !== undefined) this.#setPath(`/${pathname.replace(/^[/\\]/, '')}`);
  }
  get search(): string {
    return this.#search;
  }
  set search(search: string) {
    this.#setSearch(search);
    replace(this.searchParams, this.#search);
  }
  get hash(): string {
    return this.#hash;
  }
  set hash(hash: string) {
    const fragment = hash.replace(/^#/, '');
    this.#hash = fragment && `#${percent(fragment, IN_FRAGMENT)}`;
  }
  set href(href: string) {
    const other = new URL(href);
    this.#protocol = other.#protocol;
    this.#username = other.#username;
    this.#password = other.#password;
    this.#hostname = other.#hostname;
    this.#port = other.#port;
    this.#pathname = other.#pathname;
    this.#hash = other.#hash;
    this.search = other.#search;
  }

  toString(): string {
    return this.href;
  }
  toJSON(): string {
    return this.href;
  }
}

type Init = string | Record<string, string> | Iterable<readonly [string, string]>;

export class URLSearchParams {
  #pairs: [string, string][] = [];
  #changed: ((search: string) => void) | undefined;

  static {
    listen = (params, changed) => void (params.#changed = changed);
    replace = (params, search) => void (params.#pairs = fromQuery(search));
  }

  constructor(init: Init = '') {
    if (typeof init === 'string') {
      this.#pairs = fromQuery(init);
    } else {
      const pairs = Symbol.iterator in init ? init : Object.entries(init);
      for (const [name, value] of pairs) this.#pairs.push([String(name), String(value)]);
    }
  }

  get size(): number {
    return this.#pairs.length;
  }
  append(name: string, value: string): void {
    this.#pairs.push([String(name), String(value)]);
    this.#tell();
  }
  delete(name: string, value?: string): void {
    this.#pairs = this.#pairs.filter(([key, item]) => key !== name || (value !== undefined && item !== value));
    this.#tell();
  }
  get(name: string): string | null {
    return this.#pairs.find(([key]) => key === name)?.[1] ?? null;
  }
  getAll(name: string): string[] {
    return this.#pairs.filter(([key]) => key === name).map(([, value]) => value);
  }
  has(name: string, value?: string): boolean {
    return this.#pairs.some(([key, item]) => key === name && (value === undefined || item === value));
  }
  set(name: string, value: string): void {
    const first = this.#pairs.find(([key]) => key === name);
    if (!first) return this.append(name, value);
    first[1] = String(value);
    this.#pairs = this.#pairs.filter((pair) => pair === first || pair[0] !== name);
    this.#tell();
  }
  sort(): void {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#tell();
  }
  forEach(callback: (value: string, name: string, params: URLSearchParams) => void): void {
    for (const [name, value] of this.#pairs) callback(value, name, this);
  }
  *entries(): IterableIterator<[string, string]> {
    for (const [name, value] of this.#pairs) yield [name, value];
  }
  *keys(): IterableIterator<string> {
    for (const [name] of this.#pairs) yield name;
  }
  *values(): IterableIterator<string> {
    for (const [, value] of this.#pairs) yield value;
  }
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }
  toString(): string {
    return this.#pairs.map(([name, value]) => `${formEncode(name)}=${formEncode(value)}`).join('&');
  }

  #tell(): void {
    this.#changed?.(this.toString());
  }
}

function fromQuery(query: string): [string, string][] {
  const parts = query.replace(/^\?/, '').split('&').filter(Boolean);
  return parts.map((part) => {
    const [, name, value] = /^([^=]*)=?(.*)$/s.exec(part)!;
    return [decodePercent(name!.replaceAll('+', ' ')), decodePercent(value!.replaceAll('+', ' '))];
  });
}

function formEncode(text: string): string {
  return percent(text, " !\"#$%&'()+,/:;<=>?@[\\]^`{|}~").replaceAll('%20', '+');
}

function decodePercent(text: string): string {
  if (!text.includes('%')) return text;
  const bytes = encode(text);
  const decoded: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const hex = bytes[at] === 0x25 ? decode(bytes.subarray(at + 1, at + 3)) : '';
    if (/^[0-9a-f]{2}$/i.test(hex)) {
      decoded.push(parseInt(hex, 16));
      at += 2;
    } else {
      decoded.push(bytes[at]!);
    }
  }
  return decode(Uint8Array.from(decoded));
}
