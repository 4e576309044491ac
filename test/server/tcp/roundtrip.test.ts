// Each message, with each of its parts there and absent, and what stands in the place of a value that nobody sends.

import { expect, test } from 'vitest'
import { asIndex, asReplicaId, asTerm, type Refusal } from '../../../src/raft/types.ts'
import type { WireMessage } from '../../../src/server/links/wires.ts'
import { ByteReader, ByteWriter, MalformedError } from '../../../src/server/tcp/bytes.ts'
import { messageCode, messageFrames, readMessage, writeMessage } from '../../../src/server/tcp/codec.ts'
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
  ...(['enough', 'low', 'none'] as const).map(
    (room): WireMessage => ({ ...base, type: 'heartbeat-answer', round, sentAt, applied, lastIndex, room }),
  ),
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
  const out = new ByteWriter()
  writeMessage(out, message)
  return Buffer.concat([out.written(), ...messageFrames(message)])
}

const read = (code: number, bytes: Buffer): WireMessage => readMessage(code, new ByteReader(bytes), from, to)

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

const malformed: [string, WireMessage['type'], (out: ByteWriter) => void][] = [
  ['a state of a disk', 'heartbeat-answer', (out) => fields(out, [1, sentAt, 1, 1], 3)],
  ['a refusal of a read', 'read-index-answer', (out) => fields(out, [1], 0, 5, 0)],
  [
    'a refusal',
    'forward-refused',
    (out) => {
      out.integer(1)
      out.u32(1)
      out.integer(1)
      out.u8(REFUSALS.length)
    },
  ],
  [
    'a replica id',
    'transfer-request',
    (out) => {
      out.flag(true)
      out.text('x')
    },
  ],
]

/** Numbers as of a heartbeat answer and of a read index answer, then single bytes. */
function fields(out: ByteWriter, numbers: readonly number[], ...bytes: readonly number[]): void {
  for (const [at, number] of numbers.entries()) {
    if (at === 1) out.double(number)
    else out.integer(number)
  }
  for (const byte of bytes) out.u8(byte)
  if (bytes.length > 1) out.integer(1)
}

test.each(malformed)('%s that nobody knows is malformed', (_, type, write) => {
  const sample = MESSAGES.find((message) => message.type === type)
  if (sample === undefined) throw new Error('no such message')
  const out = new ByteWriter()
  out.integer(9)
  write(out)
  expect(() => read(messageCode(sample), Buffer.from(out.written()))).toThrow(/unknown|replica id/)
})
