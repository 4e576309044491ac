// Both ends of the forms of streams: the messages that a node encodes are those that a client decodes, however their
// bytes are cut on the way.

import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { splitLines } from '../../src/client/list.ts'
import {
  ApiError,
  asRevision,
  decodeProblem,
  type KeyRow,
  type LeaseId,
  type Revision,
} from '../../src/operations/forms/index.ts'
import { problemDocument } from '../../src/operations/forms/problems.ts'
import type { Item } from '../../src/operations/mux/form.ts'
import { range, type StreamLine } from '../../src/operations/range.ts'
import {
  type DecodedEvent,
  type DecodedWatchMessage,
  decodeWatchItem,
  decodeWatchLine,
  type EncodedEvent,
  EVENTS,
  encodeProgress,
  encodeWatchEnd,
  NDJSON,
  NDJSON_WITH_TIME,
  watch,
} from '../../src/operations/watch.ts'
import { packMessage, SharedItem } from '../../src/server/mux/messages.ts'
import { EVENTS_FIELDS, EVENTS_FORM, EVENTS_FORM_WITH_TIME } from '../../src/server/mux/watch-sink.ts'
import { runs } from '../runs.ts'

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 20 }),
  fc.string({ minLength: 1, unit: 'binary' }).map((text) => new TextEncoder().encode(text)),
)
const known = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(asRevision)
const row: fc.Arbitrary<KeyRow> = fc
  .tuple(
    fc.record({
      ...{ key: bytes, value: fc.oneof(bytes, fc.constant(new Uint8Array())) },
      ...{ createRevision: known, modRevision: known, version: fc.nat() },
      lease: fc.option(fc.constantFrom('7' as LeaseId, '9223372036854775807' as LeaseId), {
        nil: undefined,
      }),
    }),
    fc.tuple(fc.constantFrom('root', 'a-user', undefined), fc.constantFrom(0, 2 ** 48 - 1, undefined)),
  )
  .map(([each, origin]) => ({ ...each, ...originOf(...origin) }))

const originOf = (by: string | undefined, timeMs: number | undefined): Pick<KeyRow, 'by' | 'timeMs'> => ({
  ...(by === undefined ? {} : { by }),
  ...(timeMs === undefined ? {} : { timeMs }),
})

/** The options of a watch that change its messages. */
interface Wanted {
  readonly values: boolean
  readonly time: boolean
}
const wanted = fc.record({ values: fc.boolean(), time: fc.boolean() })

/** The record as a client receives it. */
function received({ by, timeMs, ...record }: KeyRow, { values, time }: Wanted): KeyRow {
  const origin = originOf(values ? by : undefined, time ? timeMs : undefined)
  return { ...record, ...(values ? {} : { value: new Uint8Array() }), ...origin }
}

/** The numbers of bytes, or of items, that arrive together, over and over. */
const cuts = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 })

function cut<T extends { readonly length: number; slice(from: number, to: number): T }>(
  whole: T,
  sizes: readonly number[],
): T[] {
  const parts: T[] = []
  for (let at = 0; at < whole.length; ) {
    const to = at + (sizes[parts.length % sizes.length] ?? 1)
    parts.push(whole.slice(at, to))
    at = to
  }
  return parts
}

async function linesIn(text: string, sizes: readonly number[]): Promise<Buffer[]> {
  async function* chunks() {
    yield* cut(Buffer.from(text), sizes)
  }
  const lines: Buffer[] = []
  for await (const line of splitLines(chunks())) lines.push(line)
  return lines
}

/** A Buffer is equal to no other array of bytes. */
const plain = (of: unknown): unknown =>
  JSON.parse(JSON.stringify(of, (_, each: unknown) => (each instanceof Uint8Array ? Array.from(each) : each)))

// ---------------------------------------------------------------------------------------------------------------------
// Watches

const error = fc.constantFrom(
  new ApiError('compacted', 'the events are gone', { members: { compact_revision: 7, resume_from: 8 } }),
  new ApiError('not_ready', 'the node "stops"\n', { members: { resume_from: 5 } }),
  new ApiError('permission_denied', 'the right has ended'),
)

const prev = fc.oneof(row, fc.constantFrom(null, undefined))
const event: fc.Arbitrary<DecodedEvent> = fc.oneof(
  fc.tuple(row, prev).map(([record, before]) => {
    const { key, modRevision: revision } = record
    return { type: 'put' as const, key, revision, record, prev: before }
  }),
  fc
    .tuple(fc.record({ type: fc.constant('delete' as const), key: bytes, revision: known, prev }), row)
    .map(([deleted, { by, timeMs }]) => ({ ...deleted, ...originOf(by, timeMs) })),
)

/** The event as a node has it. */
const encoded = (each: DecodedEvent): EncodedEvent =>
  each.type === 'put' ? each : { ...each, deletion: originOf(each.by, each.timeMs) }

function receivedEvent(each: DecodedEvent, sought: Wanted): DecodedEvent {
  const before = each.prev && received(each.prev, sought)
  if (each.type === 'put') return { ...each, prev: before, record: received(each.record, sought) }
  const { by, timeMs, ...deleted } = each
  return { ...deleted, prev: before, ...(sought.time ? originOf(by, timeMs) : {}) }
}

type Sent =
  | Exclude<DecodedWatchMessage, { readonly kind: 'ended' }>
  | { readonly kind: 'ended'; error: ApiError }

const sent: fc.Arbitrary<Sent[]> = fc
  .tuple(
    known,
    fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant('events' as const),
          revision: known,
          events: fc.array(event, { minLength: 1, maxLength: 20 }),
        }),
        fc.record({ kind: fc.constant('progress' as const), revision: known }),
      ),
      { maxLength: 6 },
    ),
    fc.option(error, { nil: undefined }),
  )
  .map(([revision, messages, ending]) => [
    { kind: 'created', revision },
    ...messages,
    ...(ending === undefined ? [] : [{ kind: 'ended' as const, error: ending }]),
  ])

/** The messages as a client decodes them. `fields`: of the document of a problem, other than its own. */
const expected = (messages: readonly Sent[], sought: Wanted, fields = {}): unknown =>
  plain(
    messages.map((message) => {
      if (message.kind === 'ended')
        return { kind: 'ended', problem: decodeProblem({ ...problemDocument(message.error), ...fields }) }
      if (message.kind !== 'events') return message
      return { ...message, events: message.events.map((each) => receivedEvent(each, sought)) }
    }),
  )

/** The watch is one from revision 7 on. */
const BEFORE = 6

function encodeLine(message: Sent, { values, time }: Wanted): string {
  const form = time ? NDJSON_WITH_TIME : NDJSON
  if (message.kind === 'created') return NDJSON.created(message.revision, BEFORE)
  if (message.kind === 'progress') return NDJSON.progress(message.revision, BEFORE)
  if (message.kind === 'ended') return NDJSON.error(message.error)
  const events = message.events.map((each, at) => form.event(encoded(each), each.prev, values, at))
  return `${form.head(message.revision)}${events.join('')}${form.tail}`
}

const ID = 2 ** 31 - 1

function encodeItem(message: Sent, { values, time }: Wanted): Item | SharedItem {
  if (message.kind === 'created') return watch.mux.encodeResult(ID, message.revision)
  if (message.kind === 'progress') return encodeProgress(ID, message.revision)
  if (message.kind === 'ended') return encodeWatchEnd(ID, problemDocument(message.error))
  const { head, event, tail } = time ? EVENTS_FORM_WITH_TIME : EVENTS_FORM
  const events = message.events.map((each) => event(encoded(each), each.prev, values))
  return new SharedItem(ID, EVENTS, Buffer.concat([head(message), ...events, tail]), EVENTS_FIELDS)
}

describe('the messages of a watch', () => {
  test('as lines, in any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(sent, wanted, cuts, async (messages, sought, sizes) => {
        const lines = await linesIn(messages.map((each) => encodeLine(each, sought)).join(''), sizes)
        const decoded = lines.map((line) => decodeWatchLine(line, sought.values))
        expect(plain(decoded)).toEqual(expected(messages, sought, { type: 'error' }))
      }),
      { numRuns: runs(200) },
    )
  })

  test('as items, in any messages of a connection', () => {
    const packr = new Packr({ useRecords: false, int64AsType: 'number', encodeUndefinedAsNil: true })
    fc.assert(
      fc.property(sent, wanted, cuts, (messages, sought, sizes) => {
        const items = messages.map((each) => encodeItem(each, sought))
        const decoded = cut(items, sizes).flatMap((part) => {
          const message = packMessage(part)
          const unpacked: Item[] = packr.unpack(message)
          expect(unpacked.every(([id]) => id === ID)).toBe(true)
          const all = unpacked.map(decodeWatchItem)
          // A client keeps no part of the message that it has received.
          message.fill(0)
          return all
        })
        expect(plain(decoded)).toEqual(expected(messages, sought))
      }),
      { numRuns: runs(200) },
    )
  })

  test('a message of a newer node is left out', () => {
    expect(decodeWatchLine(Buffer.from('{"type":"moved","revision":7}'), true)).toBeUndefined()
  })

  const record = '"kv":{"key":"k","value":"v","create_revision":1,"mod_revision":1,"version":1}'
  test.each([
    ['[]', true, 'a line of the watch is not a JSON object'],
    ['{"type":"crea', true, 'a line of the watch is not a JSON object'],
    ['{"type":"created"}', true, '"revision" is not a whole number'],
    ['{"type":"progress","revision":-1}', true, '"revision" is not a whole number'],
    ['{"type":"events","revision":7}', true, '"events" is not a list'],
    ['{"type":"events","revision":7,"events":[7]}', true, 'an event is not an object'],
    ['{"type":"events","revision":7,"events":[{"type":"move"}]}', true, 'an event has the type move'],
    ['{"type":"events","revision":7,"events":[{"type":"put"}]}', true, '"kv" is not an object'],
    [
      '{"type":"events","revision":7,"events":[{"type":"delete","key":"k"}]}',
      true,
      '"mod_revision" is not a whole number',
    ],
    [
      `{"type":"events","revision":7,"events":[{"type":"put",${record},"prev":7}]}`,
      true,
      '"prev" is not an object',
    ],
    [
      `{"type":"events","revision":7,"events":[{"type":"put",${record.replace('"value":"v",', '')}}]}`,
      true,
      'bytes are neither a string nor {"base64": …}',
    ],
  ])('the line %s is refused', (line, values, why) => {
    expect(() => decodeWatchLine(Buffer.from(line), values)).toThrow(why)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Ranges

describe('a range as lines, in any chunks', () => {
  const { encodeRecordLine, encodeEndLine, encodeErrorLine, decodeLine } = range.http
  const grant = { served: 'linearizable' as const, stalenessMs: undefined, revision: 7 as Revision }

  test('its records, and its end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { maxLength: 20 }),
        fc.option(error, { nil: undefined }),
        fc.boolean(),
        cuts,
        async (rows, failure, keysOnly, sizes) => {
          const end = failure === undefined ? encodeEndLine(rows.length, grant) : encodeErrorLine(failure)
          const text = rows.map((each) => encodeRecordLine(each, keysOnly)).join('') + end
          const decoded = (await linesIn(text, sizes)).map((line) => decodeLine(line, keysOnly))
          const last: StreamLine =
            failure === undefined
              ? { kind: 'end', count: rows.length }
              : { kind: 'error', problem: decodeProblem(problemDocument(failure)) }
          const records = rows.map((each) => ({
            kind: 'record',
            row: received(each, { values: !keysOnly, time: false }),
          }))
          expect(plain(decoded)).toEqual(plain([...records, last]))
        },
      ),
      { numRuns: runs(200) },
    )
  })

  test.each(['', '7', '[1]', '{"key":"k","value'])('the line %j is none', (line) => {
    expect(decodeLine(Buffer.from(line), false)).toBeUndefined()
  })
})
