import { formatPosition, isEvertreeError, type Value } from '@evertree/core';
import type { Moment, SearchOptions, ValueCondition } from '@evertree/history';
import { parseExactJson } from '../json/exact.ts';
import { type Exchange, momentHeaders } from './exchange.ts';
import { acceptsLines } from './headers.ts';
import { blameJson, differenceJson, findingJson, type JsonText, patchOperationJson } from './history-json.ts';
import { sendItems, sendList } from './json-list.ts';
import { Parameters, present } from './parameters.ts';
import { RequestError } from './problem.ts';
import { plainPosition } from './write.ts';

const JSON_PATCH = 'application/json-patch+json';
/** Findings of one answer, unless the request says how many. */
const FINDINGS = 100;
const FINDINGS_LIMIT = 10_000;

/**
 * GET /diff?from=&to=&path=: what turns the one state into the other, as a JSON patch whose pointers are from the root;
 * for a client that accepts lines, each difference with the values before and after.
 */
export async function getDiff(exchange: Exchange): Promise<void> {
  const { history } = exchange.context;
  const parameters = new Parameters(exchange, ['from', 'to', 'path']);
  const path = parameters.path();
  const wanted = parameters.when('from');
  if (wanted === undefined) throw new RequestError('REQUEST_INVALID', 'from is missing: the state to compare with, such as from=-10m');
  const from = await history.resolve(wanted);
  const to = await history.resolve(parameters.when('to') ?? present(exchange));
  const headers = {
    ...momentHeaders(to),
    'Evertree-From-Position': formatPosition(from.position),
    'Evertree-From-Time': new Date(from.time).toISOString(),
  };
  const differences = history.diff(from.position, to.position, path);
  if (acceptsLines(exchange.request.headers)) {
    return sendList(exchange, { head: {}, name: 'differences', headers }, texts(differences, differenceJson));
  }
  const parts = { opening: '[', separator: ',', closing: ']\n', empty: ']\n' };
  await sendItems(exchange, parts, texts(differences, patchOperationJson), { 'Content-Type': JSON_PATCH, ...headers });
}

/** GET /blame?path=&at=: for each leaf at the path or below it who set it last. */
export async function getBlame(exchange: Exchange): Promise<void> {
  const { history } = exchange.context;
  const parameters = new Parameters(exchange, ['path', 'at']);
  const path = parameters.path();
  const moment = await history.resolve(parameters.when('at') ?? present(exchange));
  const frame = { head: momentJson(moment), name: 'leaves', headers: momentHeaders(moment) };
  await sendList(exchange, frame, texts(history.blame(path, moment.position), blameJson));
}

/** GET /find?path=&deleted=&where=&changedBy=: the changes that are looked for, newest first, each with the moment before. */
export async function getFindings(exchange: Exchange): Promise<void> {
  const parameters = new Parameters(exchange, ['path', 'deleted', 'where', 'changedBy', 'from', 'to', 'limit']);
  const deleted = parameters.flag('deleted') === true;
  const where = parameters.text('where');
  const changedBy = parameters.text('changedBy');
  if (!deleted && where === undefined && changedBy === undefined) {
    throw new RequestError('REQUEST_INVALID', 'nothing is looked for; add deleted=true, where=… (such as "= 9000"), or changedBy=<author>');
  }
  const options: SearchOptions = {
    path: parameters.path(),
    ...(deleted ? { deleted } : {}),
    ...(where === undefined ? {} : { where: parseCondition(where) }),
    changedBy,
    from: parameters.when('from'),
    to: parameters.when('to'),
    limit: parameters.count('limit', FINDINGS_LIMIT) ?? FINDINGS,
    signal: exchange.ended,
  };
  await sendList(exchange, { head: {}, name: 'findings' }, texts(exchange.context.history.find(options), findingJson));
}

/** `= 9000`, `!= "up"`, `>= 3`: a comparison, and a value in JSON. @throws RequestError REQUEST_INVALID */
function parseCondition(text: string): ValueCondition {
  const match = /^\s*(=|!=|<=|>=|<|>)\s*(.+)$/s.exec(text);
  if (match === null) {
    throw new RequestError(
      'REQUEST_INVALID',
      `where is ${JSON.stringify(text.slice(0, 100))}; write one of = != < <= > >= and a value in JSON, such as = 9000 or != "up"`,
    );
  }
  const [, operator, value = ''] = match;
  try {
    return { operator: operator as ValueCondition['operator'], value: parseExactJson(value) as Value };
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    const remedy = 'a text has quotes of its own, such as = "up"';
    throw new RequestError(
      error.code,
      `where compares with ${JSON.stringify(value.slice(0, 100))}: ${error.message}; ${remedy}`,
      error.details,
    );
  }
}

function momentJson({ position, time, taken }: Moment): Readonly<Record<string, unknown>> {
  return { position: plainPosition(position), time, taken };
}

async function* texts<T>(items: AsyncIterable<T>, text: (item: T) => JsonText): AsyncGenerator<JsonText> {
  for await (const item of items) yield text(item);
}
