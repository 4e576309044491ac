// Frames that a client may send, and some that it must not.

import fc from 'fast-check'
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  frame,
  headers,
  literal,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from '../raw-http2.ts'

const PADDED = 0x8
const PRIORITY = 0x20
const PUSH_PROMISE = 5

/** One step of a client: its name, for the report of a failure and for what is listed; and its frames. */
export interface Step {
  readonly text: string
  readonly bytes: Buffer
}

const step = (text: string, ...frames: readonly Buffer[]): Step => ({ text, bytes: Buffer.concat(frames) })

export const requestFields = (path: string, ...more: readonly Buffer[]): Buffer =>
  Buffer.concat([
    literal(':method', 'POST'),
    literal(':scheme', 'http'),
    literal(':path', path),
    literal(':authority', 'localhost'),
    ...more,
  ])

const stream = fc.constantFrom(1, 3, 5, 7, 9, 11)
const anyStream = fc.oneof({ weight: 40, arbitrary: stream }, fc.constantFrom(0, 2, 99, 2 ** 31 - 1))
const path = fc.constantFrom(
  '/echo',
  '/echo',
  '/bytes/10',
  '/bytes/9000',
  '/hold',
  '/early',
  '/refuse',
  '/reset/8',
)
const isEnd = fc.boolean()
const padding = fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined })

const withPadding = (payload: Buffer, bytes: number | undefined): readonly [flags: number, Buffer] =>
  bytes === undefined
    ? [0, payload]
    : [PADDED, Buffer.concat([Buffer.of(bytes), payload, Buffer.alloc(bytes)])]

const MORE_FIELDS: Readonly<Record<string, Buffer>> = {
  none: Buffer.alloc(0),
  'a length of 3': literal('content-length', '3'),
  'a length of 0': literal('content-length', '0'),
  'a length that is none': literal('content-length', '1e1'),
  'a field of a connection': literal('connection', 'close'),
  'a capital letter': literal('X-a', 'b'),
  'a line end': literal('x-a', 'b\nc'),
  'a space at the end': literal('x-a', 'b '),
  'other trailers': literal('te', 'gzip'),
  'a pseudo-field at the end': Buffer.concat([literal('a', 'b'), literal(':path', '/echo')]),
  'an unknown pseudo-field': literal(':other', 'b'),
  'two paths': literal(':path', '/echo'),
  'a field with an index': literal('a', 'b', true),
  'an empty name': literal('', 'b'),
}

const request = fc
  .record({
    ...{ id: stream, path, isEnd, padding },
    more: fc.oneof(
      { weight: 10, arbitrary: fc.constant('none') },
      fc.constantFrom(...Object.keys(MORE_FIELDS)),
    ),
    priority: fc.option(fc.constantFrom(0, 99), { nil: undefined, freq: 5 }),
    cut: fc.option(fc.nat({ max: 60 }), { nil: undefined, freq: 4 }),
  })
  .map(({ id, path, isEnd, padding, more, priority, cut }) => {
    const block = requestFields(path, MORE_FIELDS[more] ?? Buffer.alloc(0))
    const first = cut === undefined ? block : block.subarray(0, cut)
    const head = priority === undefined ? first : Buffer.concat([uint32(priority), Buffer.of(15), first])
    const [flag, payload] = withPadding(head, padding)
    const flags = flag | (isEnd ? END_STREAM : 0) | (priority === undefined ? 0 : PRIORITY)
    const text = `request ${id} ${path} ${isEnd ? 'whole' : 'open'}, fields: ${more}, priority: ${priority}, cut: ${cut}`
    if (cut === undefined) return step(text, headers(id, payload, flags | END_HEADERS))
    const rest = frame(TYPE.continuation, END_HEADERS, id, block.subarray(cut))
    return step(text, headers(id, payload, flags), rest)
  })

const data = fc
  .record({ id: anyStream, size: fc.constantFrom(0, 1, 3, 3, 1000, 16_000), isEnd, padding })
  .map(({ id, size, isEnd, padding }) => {
    const [flag, payload] = withPadding(Buffer.alloc(size, 'x'), padding)
    return step(`data ${id} ${size} ${isEnd}`, frame(TYPE.data, flag | (isEnd ? END_STREAM : 0), id, payload))
  })

const trailers = fc
  .record({ id: stream, isEnd: fc.constantFrom(true, true, false), name: fc.constantFrom('a', 'a', ':path') })
  .map(({ id, isEnd, name }) =>
    step(
      `trailers ${id} ${name} ${isEnd}`,
      headers(id, literal(name, 'b'), END_HEADERS | (isEnd ? END_STREAM : 0)),
    ),
  )

const reset = fc
  .record({ id: anyStream, code: fc.constantFrom(0, 8, 99) })
  .map(({ id, code }) => step(`reset ${id} ${code}`, frame(TYPE.reset, 0, id, uint32(code))))

const update = fc
  .record({ id: fc.oneof(anyStream, fc.constant(0)), more: fc.constantFrom(1, 100, 10_000, 0, 2 ** 31 - 1) })
  .map(({ id, more }) => step(`window ${id} ${more}`, windowUpdate(id, more)))

const setting = fc
  .array(
    fc.tuple(
      fc.constantFrom(1, 2, 3, 4, 4, 4, 5, 6, 99),
      fc.constantFrom(0, 1, 100, 4096, 16_384, 65_535, 2 ** 24 - 1, 2 ** 31 - 1, 2 ** 31),
    ),
    { maxLength: 3 },
  )
  .map((pairs) => step(`settings ${JSON.stringify(pairs)}`, settings(...pairs)))

const small = fc.constantFrom(
  step('ping', frame(TYPE.ping, 0, 0, Buffer.alloc(8))),
  step('an acknowledgement of no ping', frame(TYPE.ping, ACK, 0, Buffer.alloc(8))),
  step('an acknowledgement of settings', frame(TYPE.settings, ACK, 0)),
  step('priority', frame(TYPE.priority, 0, 5, Buffer.concat([uint32(3), Buffer.of(1)]))),
  step('an unknown frame', frame(0x77, 0xff, 1, Buffer.from('anything'))),
  step('farewell', frame(TYPE.goaway, 0, 0, uint32(0, 0))),
)

const illegal = fc.constantFrom(
  step('a ping of 7 bytes', frame(TYPE.ping, 0, 0, Buffer.alloc(7))),
  step('a ping of a stream', frame(TYPE.ping, 0, 1, Buffer.alloc(8))),
  step('settings of 5 bytes', frame(TYPE.settings, 0, 0, Buffer.alloc(5))),
  step('settings of a stream', frame(TYPE.settings, 0, 1)),
  step('an acknowledgement with settings', frame(TYPE.settings, ACK, 0, Buffer.alloc(6))),
  step('a reset of 3 bytes', frame(TYPE.reset, 0, 1, Buffer.alloc(3))),
  step('a window of 3 bytes', frame(TYPE.windowUpdate, 0, 0, Buffer.alloc(3))),
  step('a priority of 4 bytes', frame(TYPE.priority, 0, 1, Buffer.alloc(4))),
  step('a priority of no stream', frame(TYPE.priority, 0, 0, Buffer.alloc(5))),
  step('a farewell of 7 bytes', frame(TYPE.goaway, 0, 0, Buffer.alloc(7))),
  step('a farewell on a stream', frame(TYPE.goaway, 0, 1, uint32(0, 0))),
  step('a continuation of nothing', frame(TYPE.continuation, END_HEADERS, 1, literal('a', 'b'))),
  step('a push', frame(PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([uint32(2), literal('a', 'b')]))),
  step('a block that stops', headers(1, requestFields('/echo'), 0), frame(TYPE.ping, 0, 0, Buffer.alloc(8))),
  step('a block that is none', headers(1, Buffer.of(0x80))),
  step('a frame of 16,385 bytes', frame(TYPE.data, 0, 1, Buffer.alloc(16_385))),
  step('too much padding', frame(TYPE.data, PADDED, 1, Buffer.of(3, 0, 0))),
  step('no room for padding', frame(TYPE.data, PADDED, 1)),
  step('a priority without room', headers(1, Buffer.of(0, 0, 0), END_HEADERS | PRIORITY)),
)

const drawnStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: request },
  { weight: 12, arbitrary: data },
  { weight: 2, arbitrary: trailers },
  { weight: 3, arbitrary: reset },
  { weight: 4, arbitrary: update },
  { weight: 2, arbitrary: setting },
  { weight: 2, arbitrary: small },
  { weight: 1, arbitrary: illegal },
)

const opened = ['/echo', '/hold', '/bytes/9000', '/bytes/100', '/unread'].map((path, at) =>
  step(`request ${2 * at + 1} ${path} open`, headers(2 * at + 1, requestFields(path))),
)

/** Most clients open streams before they send data: a frame on a stream that is not open would end the connection. */
export const drawnSteps: fc.Arbitrary<readonly Step[]> = fc
  .tuple(fc.constantFrom([], opened, opened), fc.array(drawnStep, { minLength: 1, maxLength: 25 }))
  .map(([first, rest]) => [...first, ...rest])
