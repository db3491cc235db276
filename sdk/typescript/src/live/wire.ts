import { ConnectionError, errorFromBody, GatehouseError } from '../errors.js';
import type { Gap, Position, Present } from './types.js';

/** The answer to a subscription, by socket or as a stream's first event. */
export interface Subscribed {
  channel: string;
  epoch: string;
  sequence: number;
  recovered: boolean;
  first_sequence?: number;
  members?: Present[];
}

export type Outcome<T> = { answer: T; error: null } | { answer: null; error: GatehouseError };

export const failed = (error: GatehouseError): Outcome<never> => ({ answer: null, error });

/** What an acknowledgement says. */
export function outcomeOf<T>(acknowledgement: unknown): Outcome<T> {
  const { ok, error, ...answer } = (acknowledgement ?? {}) as { ok?: boolean; error?: unknown };
  if (ok === true) return { answer: answer as T, error: null };
  return failed(errorOfBody(error));
}

/** The error that a body means which came without a status. */
export function errorOfBody(body: unknown): GatehouseError {
  const code = (body as { code?: unknown } | null | undefined)?.code;
  if (typeof code === 'number') return errorFromBody(code, body);
  return new GatehouseError('The answer is not one of Gatehouse', { status: 0, code: 'unexpected_answer', body });
}

export const lostConnection = () => new ConnectionError('The connection broke before the answer');

/** It may go better later: the server is busy, stopping, or not to be reached. */
export const isPassing = ({ status }: GatehouseError) => status === 0 || status === 429 || status >= 500;

/** Where reading goes on after the answer, and whether something is missing before that. */
export function resumed(asked: Position | null, answer: Subscribed): { from: Position; gap: Gap | null } {
  const { epoch, sequence, recovered, first_sequence } = answer;
  if (recovered || !asked) return { from: { sequence: asked?.sequence ?? sequence, epoch }, gap: null };
  const first = first_sequence ?? sequence + 1;
  return { from: { sequence: first - 1, epoch }, gap: { first_sequence: first, epoch, after: asked } };
}

/** Whether it was there before. */
export const isRepeated = (message: { sequence: number | null; epoch: string }, after: Position | null) =>
  message.sequence !== null && after !== null && message.epoch === after.epoch && message.sequence <= after.sequence;
