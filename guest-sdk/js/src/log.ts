/** The workflow's log. Nothing is written while the run is replayed. */

import { host, type LogLevel } from './host';
import { theRun } from './run';

export interface WorkflowLogger {
  trace(message: string, attrs?: Record<string, unknown>): void;
  debug(message: string, attrs?: Record<string, unknown>): void;
  info(message: string, attrs?: Record<string, unknown>): void;
  warn(message: string, attrs?: Record<string, unknown>): void;
  error(message: string, attrs?: Record<string, unknown>): void;
}

/** Any value as text for people; nothing that it holds can make this fail. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value.toWellFormed();
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  try {
    if (typeof value === 'object' && value !== null) return JSON.stringify(value) ?? String(value);
    return String(value);
  } catch {
    return `[${typeof value}]`;
  }
}

function write(level: LogLevel, message: string, attrs?: Record<string, unknown>): void {
  const { update } = theRun('Workflow.log');
  const fields = Object.entries(attrs ?? {}).map(([name, value]): [string, string] => [name, shown(value)]);
  const handling = update.getStore();
  if (handling) fields.push(['updateId', handling.id], ['updateName', handling.name]);
  host.log(level, shown(message), fields);
}

/** The server adds what it knows of the run: namespace, workflow and run id, type. */
export const log: WorkflowLogger = {
  trace: (message, attrs) => write('trace', message, attrs),
  debug: (message, attrs) => write('debug', message, attrs),
  info: (message, attrs) => write('info', message, attrs),
  warn: (message, attrs) => write('warn', message, attrs),
  error: (message, attrs) => write('error', message, attrs),
};

export type SinkFunction = (...args: any[]) => void;
export type Sink = Record<string, SinkFunction>;
export type Sinks = Record<string, Sink>;
export interface LoggerSinks extends Sinks {
  defaultWorkerLogger: WorkflowLogger & Sink;
}

/**
 * Sinks lead to functions on a worker, and there is none here: what is written to a sink becomes a line of the
 * workflow's log, with the sink's name as a field.
 */
export function proxySinks<T extends Sinks>(): T {
  const sink = (ifaceName: string) =>
    new Proxy({} as Sink, {
      get: (_, name) => (...args: unknown[]) => {
        if (ifaceName === 'defaultWorkerLogger' && typeof name === 'string' && name in log) {
          log[name as keyof WorkflowLogger](shown(args[0]), args[1] as Record<string, unknown> | undefined);
        } else {
          log.info(args.map(shown).join(' '), { sink: `${ifaceName}.${String(name)}` });
        }
      },
    });
  return new Proxy({} as T, { get: (_, ifaceName) => sink(String(ifaceName)) });
}
