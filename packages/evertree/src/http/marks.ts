import type { Mark, Position } from '@evertree/core';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import { commitNote } from './commit-note.ts';
import { type Exchange, positionHeader } from './exchange.ts';
import { readTreeConditions } from './headers.ts';
import { whenOf } from './parameters.ts';
import { adminBody } from './roles.ts';
import { assertWritable, commitAdmitted, optionsOf, plainPosition, readWish, settle } from './write.ts';

const nameSchema = z.string();
const noteFields = { author: z.string().exactOptional(), message: z.string().exactOptional() };
const markSchema = z.strictObject({
  name: nameSchema,
  at: z.string().exactOptional(),
  move: z.boolean().exactOptional(),
  ...noteFields,
});
const unmarkSchema = z.strictObject({ name: nameSchema, ...noteFields });

/** GET /marks: the newest state first. One whose state this site can't read any more is listed as such. */
export async function getMarks(exchange: Exchange): Promise<void> {
  exchange.refuseParameters();
  const { history, stability } = exchange.context;
  using reading = await stability.read();
  const { position, header } = reading.snapshot;
  const oldest = (await history.reach()).position;
  const marks = header.marks.toSorted((a, b) => b.position.revision - a.position.revision).map(mark => markAnswer(mark, oldest));
  exchange.answer(200, { marks }, positionHeader(position));
}

function markAnswer({ position, markedAt, ...mark }: Mark, oldest: Position): object {
  return {
    ...mark,
    position: plainPosition(position),
    markedAt: plainPosition(markedAt),
    reachable: position.revision >= oldest.revision,
  };
}

/** POST /admin/mark {"name", "at", "move"}: names a state. */
export async function postMark(exchange: Exchange): Promise<void> {
  const body = checked(markSchema, await adminBody(exchange, '{"name": "before-upgrade"}'), 'the body');
  const { history, store } = exchange.context;
  const wish = readWish(exchange);
  const conditions = readTreeConditions(exchange.request.headers, 'a mark');
  await assertWritable(exchange);
  const { name, move = false } = body;
  const options = optionsOf(conditions, commitNote(exchange, body));
  const at = body.at === undefined ? undefined : (await history.resolve(whenOf('at', body.at, store.clock.now()))).position;
  let moved: Mark | undefined;
  const made = await commitAdmitted(exchange, conditions, () => {
    moved = store.marks.find(mark => mark.name === name);
    return store.mark(name, { ...options, move, ...(at === undefined ? {} : { at }) });
  });
  const named = store.marks.find(mark => mark.name === name)?.position ?? made.position;
  const settled = await settle(exchange.context, made, wish);
  const before = moved === undefined ? null : plainPosition(moved.position);
  exchange.answer(200, { ...settled.body, name, named: plainPosition(named), moved: before }, settled.headers);
}

/** POST /admin/unmark {"name"}: removes the name; the state stays. */
export async function postUnmark(exchange: Exchange): Promise<void> {
  const body = checked(unmarkSchema, await adminBody(exchange, '{"name": "before-upgrade"}'), 'the body');
  const wish = readWish(exchange);
  const conditions = readTreeConditions(exchange.request.headers, 'a mark');
  const options = optionsOf(conditions, commitNote(exchange, body));
  const made = await commitAdmitted(exchange, conditions, store => store.unmark(body.name, options));
  const settled = await settle(exchange.context, made, wish);
  exchange.answer(200, { ...settled.body, name: body.name }, settled.headers);
}
