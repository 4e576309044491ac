// Each message, with each of its parts present and absent, and the default of a value that is not sent.

import { expect, test } from 'vitest'
import { Writer } from '../../../../src/bytes/index.ts'
import type { LeaseId } from '../../../../src/kv/index.ts'
import { asIndex, asReplicaId, asTerm, type Refusal } from '../../../../src/raft/types.ts'
import { PROTOCOL_VERSION } from '../../../../src/server/peers/accept.ts'
import {
  messageCode,
  messageFrames,
  readMessage,
  writeMessage,
} from '../../../../src/server/peers/tcp/codec.ts'
import { FrameWriter, MalformedError, readerOf } from '../../../../src/server/peers/tcp/frames.ts'
import {
  CODE,
  frameCode,
  frameTail,
  isStable,
  readFrame,
  readGreetingFrame,
  writeFrame,
} from '../../../../src/server/peers/tcp/link-codec.ts'
import type { Frame, LinkFrame, WireMessage } from '../../../../src/server/peers/wires.ts'
import { entryOf, from, plain, sealedFrame, to } from './messages.ts'

const base = { from, to, term: asTerm(9) }
const [commit, applied, lastIndex] = [asIndex(11), asIndex(12), asIndex(13)]
const [round, sentAt] = [7, 1.25]

const REFUSALS: readonly Refusal[] = [
  ...(['no-leader', 'not-leader', 'transferring'] as const).map((reason) => ({ reason })),
  ...(['overloaded', 'too-large', 'membership', 'membership-pending', 'storage-full'] as const).map(
    (reason) => ({
      ...{ reason, detail: `why ${reason}` },
    }),
  ),
]

const MESSAGES: readonly WireMessage[] = [
  ...[[], [entryOf(10, 5, 4), entryOf(20_000, 9, 5)]].map(
    (entries): WireMessage => ({
      ...{ ...base, type: 'append', prevIndex: asIndex(3), prevTerm: asTerm(4), entries, commit, round },
    }),
  ),
  { ...base, type: 'append-accepted', index: asIndex(3), round, sentAt, applied },
  {
    ...{ ...base, type: 'append-rejected', index: asIndex(3), round, sentAt, lastIndex },
    ...{ hintIndex: asIndex(2), hintTerm: asTerm(1) },
  },
  ...[undefined, { at: 2.5, readIndex: asIndex(8) }].map(
    (confirmed): WireMessage => ({
      ...{ ...base, type: 'heartbeat', commit, round, confirmed, appliedByMajority: asIndex(6) },
    }),
  ),
  { ...base, type: 'heartbeat-answer', round, sentAt, applied, lastIndex },
  ...[true, false].flatMap((flag): WireMessage[] => [
    { ...base, type: 'vote-request', lastIndex, lastTerm: asTerm(5), transfer: flag },
    { ...base, type: 'pre-vote-request', lastIndex, lastTerm: asTerm(5), transfer: flag },
    { ...base, type: 'vote-answer', granted: flag, commit, commitTerm: asTerm(5) },
    { ...base, type: 'pre-vote-answer', granted: flag, commit, commitTerm: asTerm(5) },
    { ...base, type: 'read-index', request: 5, lease: flag },
    { ...base, type: 'transfer-request', target: flag ? asReplicaId('77') : undefined },
    {
      ...{ ...base, type: 'read-index-answer', request: 5, lease: flag, commit, refusal: undefined },
      index: flag ? asIndex(4) : undefined,
    },
  ]),
  ...(['no-leader', 'not-leader', 'leadership-lost', 'not-ready'] as const).map(
    (refusal): WireMessage => ({
      ...{ ...base, type: 'read-index-answer', request: 5, index: undefined, lease: false, commit, refusal },
    }),
  ),
  { ...base, type: 'timeout-now' },
  { ...base, type: 'lost-state', detail: 'where ä' },
  ...[[], [sealedFrame(3, 1), sealedFrame(30_000, 2)]].map(
    (frames): WireMessage => ({
      ...{ ...base, type: 'forward', boot: 3 },
      proposals: frames.map((frame, seq) => ({ seq: seq + 40, frame })),
    }),
  ),
  {
    ...{ ...base, type: 'forward-refused', meantFor: asTerm(8) },
    refused: REFUSALS.map((refusal, seq) => ({ seq, refusal })),
  },
]

function bytesOf(message: WireMessage): Buffer {
  const out = new Writer()
  writeMessage(out, message)
  return Buffer.concat([out.written(), ...messageFrames(message)])
}

const read = (code: number, bytes: Buffer): WireMessage => readMessage(code, readerOf(bytes), from, to)

test('each message arrives as it was sent, and neither with a byte less nor with one more', () => {
  for (const message of MESSAGES) {
    const [code, bytes] = [messageCode(message), bytesOf(message)]
    expect(plain(read(code, bytes))).toEqual(plain(message))
    for (let length = 0; length < Math.min(bytes.length, 200); length++)
      expect(() => read(code, Buffer.from(bytes.subarray(0, length)))).toThrow(MalformedError)
    expect(() => read(code, Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(MalformedError)
  }
  expect(new Set(MESSAGES.map(messageCode)).size).toBe(16)
})

const malformed: [string, WireMessage['type'], (out: Writer) => void][] = [
  ['a refusal of a read', 'read-index-answer', (out) => fields(out, [1], 0, 5, 0)],
  [
    'a refusal',
    'forward-refused',
    (out) => {
      out.uint64(1)
      out.uint32(1)
      out.uint64(1)
      out.uint8(REFUSALS.length)
    },
  ],
  [
    'a replica id',
    'transfer-request',
    (out) => {
      out.flag(true)
      out.utf8('x')
    },
  ],
]

/** Numbers as of a heartbeat answer and of a read index answer, then single bytes. */
function fields(out: Writer, numbers: readonly number[], ...bytes: readonly number[]): void {
  for (const [at, number] of numbers.entries()) {
    if (at === 1) out.float64(number)
    else out.uint64(number)
  }
  for (const byte of bytes) out.uint8(byte)
  if (bytes.length > 1) out.uint64(1)
}

test.each(malformed)('%s that nobody knows is malformed', (_, type, write) => {
  const sample = MESSAGES.find((message) => message.type === type)
  if (sample === undefined) throw new Error('no such message')
  const out = new Writer()
  out.uint64(9)
  write(out)
  expect(() => read(messageCode(sample), Buffer.from(out.written()))).toThrow(/unknown|replica id/)
})

const greeting = {
  ...{ clusterId: '77', replicaId: to, name: 'n2', boot: 3, term: asTerm(4), lastIndex, clusterVersion: 1 },
  peer: '127.0.0.1:7401',
}
const meta = {
  ...{ index: asIndex(40), term: asTerm(4), stateHash: 5n },
  applied: { index: asIndex(39), term: asTerm(3), raft: Uint8Array.of(1, 2), kv: Uint8Array.of(3) },
}
const GREETINGS: readonly LinkFrame[] = [
  ...(['messages', 'snapshot'] as const).map((purpose): LinkFrame => {
    return { type: 'hello', purpose, target: '2', attempt: 6, incarnation: 99n, greeting }
  }),
  { type: 'welcome', incarnation: 99n, greeting },
  ...[true, false].map((stop): LinkFrame => ({ type: 'refusal', clusterId: '77', stop, sentence: 'no' })),
]
const LINK_FRAMES: readonly LinkFrame[] = [
  ...GREETINGS,
  { type: 'state-hash', at: { index: asIndex(7), hash: 2n ** 63n } },
  {
    type: 'keep-alive',
    question: { number: 3, timeoutMs: 5000, ids: ['1', '18446744073709551615'] as LeaseId[] },
  },
  { type: 'keep-alive', question: { number: 4, timeoutMs: 1, ids: [] } },
  { type: 'kept-alive', answer: { number: 3, kept: [10_000, undefined] } },
  { type: 'kept-alive', answer: { number: 3, kept: undefined } },
  { type: 'snapshot-offer', term: asTerm(5), snapshotId: 's', meta },
  { type: 'snapshot-accept', nextChunk: 3 },
  { type: 'snapshot-written', number: 3 },
  { type: 'snapshot-end', chunks: 3 },
  { type: 'snapshot-staged' },
]

function linkBytes(frame: Frame): Buffer {
  const out = new Writer()
  writeFrame(out, frame)
  return Buffer.concat([out.written(), ...frameTail(frame)])
}

const between = { from, to }

test('so does each word between links, and those of a handshake before it is done', () => {
  for (const frame of LINK_FRAMES) {
    const [code, bytes] = [frameCode(frame), linkBytes(frame)]
    expect(readFrame(code, readerOf(bytes), between)).toEqual(frame)
    const early = readGreetingFrame(code, readerOf(bytes))
    expect(early).toEqual(GREETINGS.includes(frame) ? frame : { type: 'unknown', code })
    for (let length = 0; length < bytes.length; length++) {
      const cut = readerOf(Buffer.from(bytes.subarray(0, length)))
      expect(() => readFrame(code, cut, between)).toThrow(MalformedError)
    }
    const long = readerOf(Buffer.concat([bytes, Buffer.alloc(1)]))
    expect(() => readFrame(code, long, between)).toThrow(MalformedError)
  }
  const chunk: Frame = { type: 'snapshot-chunk', number: 4, bytes: new Uint8Array(Buffer.from('rows')) }
  expect(readFrame(frameCode(chunk), readerOf(linkBytes(chunk)), between)).toEqual(chunk)
})

test('a call of a stranger is malformed, and one in another version is told by its version alone', () => {
  const called = (magic: number, version: number): LinkFrame => {
    const out = new Writer()
    out.uint32(magic)
    out.uint32(version)
    out.utf8('whatever')
    return readGreetingFrame(CODE.hello, readerOf(Buffer.from(out.written())))
  }
  const version = PROTOCOL_VERSION + 1
  expect(called(0x51_52_54_45, version)).toEqual({ type: 'foreign-hello', version })
  expect(() => called(0x51_52_54_46, version)).toThrow(MalformedError)
})

test('what is only ever heard is not sent', () => {
  for (const frame of [
    { type: 'foreign-hello', version: 1 } as const,
    { type: 'unknown', code: 200 } as const,
  ])
    expect(() => frameCode(frame)).toThrow(RangeError)
})

test('only the bytes of appended entries and of chunks are left where they are', () => {
  const stable = [
    ...MESSAGES,
    ...LINK_FRAMES,
    { type: 'snapshot-chunk', number: 1, bytes: new Uint8Array() } as const,
  ]
    .filter(isStable)
    .map(({ type }) => type)
  expect(new Set(stable)).toEqual(new Set(['append', 'snapshot-chunk']))
})

test('a part of eight kibibytes is long, and no piece is empty', () => {
  const writer = new FrameWriter()
  const [long, short] = [Buffer.alloc(8 * 1024), Buffer.alloc(8 * 1024 - 1)]
  writer.append(1, Buffer.alloc(0), [long, long], true)
  writer.append(1, Buffer.alloc(0), [short], true)
  const pieces = writer.takePieces()
  expect(pieces.map((piece) => piece === long)).toEqual([false, true, true, false])
  expect(pieces.map((piece) => piece.length)).toEqual([13, 8192, 8192, 13 + 8191])
})
