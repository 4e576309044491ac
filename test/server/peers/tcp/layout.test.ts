// The bytes of every frame between replicas, pinned: nodes of two versions of the program talk to each other while a
// cluster is upgraded. A change needs a new version of the protocol.

import { expect, test } from 'vitest'
import { Reader, Writer } from '../../../../src/bytes/index.ts'
import { asIndex, asTerm } from '../../../../src/raft/types.ts'
import { PROTOCOL_VERSION } from '../../../../src/server/peers/accept.ts'
import { FrameReader, FrameWriter, MalformedError } from '../../../../src/server/peers/tcp/frames.ts'
import {
  CODE,
  frameCode,
  frameTail,
  isStable,
  readFrame,
  readGreetingFrame,
  writeFrame,
} from '../../../../src/server/peers/tcp/link-codec.ts'
import type { Frame } from '../../../../src/server/peers/wires.ts'
import { entryOf, from, sealedFrame, to } from './messages.ts'

const base = { from, to, term: asTerm(2 ** 40 + 9) }
const [commit, applied, lastIndex] = [asIndex(11), asIndex(12), asIndex(Number.MAX_SAFE_INTEGER)]
const [round, sentAt] = [7, 1234.0625]
const greeting = {
  ...{ clusterId: '77', replicaId: to, name: 'n2', boot: 3, term: asTerm(4), lastIndex, clusterVersion: 1 },
  peer: '127.0.0.1:7401',
}

test.each<[Frame, string]>([
  [
    {
      ...{ ...base, type: 'append', prevIndex: asIndex(3), prevTerm: asTerm(4), commit, round },
      entries: [entryOf(2, 5, 4), entryOf(1, 9, 5)],
    },
    `000000a07a70272b0000000001000001000000000900000000000000030000000000000004000000000000000b000000
     00000000070000000200000038167114bf00000000000000050000000000000004000000000000000c11010000ffffff
     ffffffffff000000030000000000048ead000000377cad8b830000000000000009000000000000000500000000000000
     0c11010000ffffffffffffffff000000030000000000058f`,
  ],
  [
    { ...base, type: 'append-accepted', index: asIndex(3), round, sentAt, applied },
    `0000002dfc03514700000000020000010000000009000000000000000300000000000000074093484000000000000000
   000000000c`,
  ],
  [
    {
      ...{ ...base, type: 'append-rejected', index: asIndex(3), round, sentAt, lastIndex },
      ...{ hintIndex: asIndex(2), hintTerm: asTerm(1) },
    },
    `0000003d70590e9200000000030000010000000009000000000000000300000000000000020000000000000001001fff
     ffffffffff00000000000000074093484000000000`,
  ],
  [
    { ...base, type: 'heartbeat', commit, round, confirmed: undefined, appliedByMajority: asIndex(6) },
    '00000026404b71b300000000040000010000000009000000000000000b0000000000000007000000000000000006',
  ],
  [
    {
      ...{ ...base, type: 'heartbeat', commit, round, appliedByMajority: asIndex(6) },
      confirmed: { at: -2.5, readIndex: asIndex(8) },
    },
    `000000365f00852400000000040000010000000009000000000000000b000000000000000701c0040000000000000000
     0000000000080000000000000006`,
  ],
  [
    { ...base, type: 'heartbeat-answer', round, sentAt, applied, matched: asIndex(13), room: 7, lastIndex },
    `0000003d20f9ccfc0000000005000001000000000900000000000000074093484000000000000000000000000c000000
   000000000d0000000000000007001fffffffffffff`,
  ],
  [
    { ...base, type: 'vote-request', lastIndex, lastTerm: asTerm(5), transfer: true },
    '0000001eed4734ec00000000060000010000000009001fffffffffffff000000000000000501',
  ],
  [
    { ...base, type: 'pre-vote-request', lastIndex, lastTerm: asTerm(5), transfer: false },
    '0000001e7d5da2ed00000000070000010000000009001fffffffffffff000000000000000500',
  ],
  [
    { ...base, type: 'vote-answer', granted: true, commit, commitTerm: asTerm(5) },
    '0000001e43c440210000000008000001000000000901000000000000000b0000000000000005',
  ],
  [
    { ...base, type: 'pre-vote-answer', granted: false, commit, commitTerm: asTerm(5) },
    '0000001e237f2df50000000009000001000000000900000000000000000b0000000000000005',
  ],
  [{ ...base, type: 'timeout-now' }, '0000000d28daa71d000000000a0000010000000009'],
  [
    { ...base, type: 'transfer-request', target: from },
    '00000026fa72c82c000000000b000001000000000901000000143138343436373434303733373039353531363135',
  ],
  [{ ...base, type: 'transfer-request', target: undefined }, '0000000e5eee32cd000000000b000001000000000900'],
  [
    { ...base, type: 'forward', boot: 3, proposals: [{ seq: 2, frame: sealedFrame(3, 2) }] },
    `0000005a60ddbd96000000000c000001000000000900000000000000030000000100000000000000020000003982ce37
   1e00000000000000000000000000000000000000000000000011010000ffffffffffffffff000000030000000000028c
   abca`,
  ],
  [
    {
      ...{ ...base, type: 'forward-refused', meantFor: asTerm(8) },
      refused: [
        { seq: 1, refusal: { reason: 'not-leader' } },
        { seq: 2, refusal: { reason: 'disk-full', detail: 'why ä' } },
      ],
    },
    `000000358bb16aa2000000000d0000010000000009000000000000000800000002000000000000000101000000000000
     0002070000000677687920c3a4`,
  ],
  [
    { ...base, type: 'read-index', request: 5, leaderLease: true },
    '00000016fe9a9798000000000e0000010000000009000000000000000501',
  ],
  [
    {
      ...{ ...base, type: 'read-index-answer', request: 5, index: asIndex(4) },
      ...{ refusal: 'not-ready', leaderLease: false, commit },
    },
    '000000282d9c70c7000000000f000001000000000900000000000000050100000000000000040400000000000000000b',
  ],
  [
    { ...base, type: 'lost-state', detail: 'where \u{1f600}' },
    '0000001b4791a967000000001000000100000000090000000a776865726520f09f9880',
  ],
  [
    { type: 'hello', purpose: 'snapshot', target: '2', attempt: 6, incarnation: 2n ** 80n, greeting },
    `0000007d67e8b9cd00000000405152544500000002000000026e32010000000132000000000000000600000015313030
     3030303030303030303030303030303030300000000237370000000132000000026e3200000000000000030000000000
     000004001fffffffffffff00000000000000010000000e3132372e302e302e313a37343031`,
  ],
  [
    { type: 'welcome', incarnation: 0n, greeting },
    `0000004dd4323014000000004100000001300000000237370000000132000000026e3200000000000000030000000000
   000004001fffffffffffff00000000000000010000000e3132372e302e302e313a37343031`,
  ],
  [
    { type: 'refusal', clusterId: '77', stop: true, sentence: 'no' },
    '0000001285e13e69000000004200000002373701000000026e6f',
  ],
  [
    { type: 'state-hash', at: { index: asIndex(7), hash: 2n ** 63n } },
    '00000021ef82869d000000002000000000000000070000001038303030303030303030303030303030',
  ],
  [{ type: 'member-request', id: to }, '0000000aae7b4f9700000000240000000132'],
  [
    { type: 'member-answer', id: to, member: { name: 'n2', peer: 'b:1' } },
    '00000017e3c034f300000000250000000132000000026e3200000003623a31',
  ],
  [
    {
      ...{ type: 'snapshot-offer', term: asTerm(5), snapshotId: 's' },
      meta: {
        ...{ index: asIndex(40), term: asTerm(4), stateHash: 5n },
        applied: { index: asIndex(39), term: asTerm(3), raft: Uint8Array.of(1, 2), kv: Uint8Array.of(3) },
      },
    },
    `000000423935ed5300000000500000000000000005000000017300000000000000280000000000000004000000013500
     0000000000002700000000000000030000000201020000000103`,
  ],
  [{ type: 'snapshot-accept', nextChunk: 3 }, '0000000df354420d00000000510000000000000003'],
  [
    { type: 'snapshot-chunk', number: 4, bytes: new Uint8Array(Buffer.from('rows')) },
    '000000117e76fefa00000000520000000000000004726f7773',
  ],
  [{ type: 'snapshot-written', number: 3 }, '0000000ddda26a8b00000000530000000000000003'],
  [{ type: 'snapshot-end', chunks: 3 }, '0000000db9c3074200000000540000000000000003'],
  [{ type: 'snapshot-staged' }, '00000005dd2352660000000055'],
])('$type', (frame, hex) => {
  const [out, writer, reader] = [new Writer(), new FrameWriter(), new FrameReader(1 << 20)]
  writeFrame(out, frame)
  writer.append(frameCode(frame), out.written(), frameTail(frame), isStable(frame))
  const bytes = Buffer.concat(writer.takePieces())
  expect(bytes.toString('hex')).toBe(hex.replaceAll(/\s/g, ''))
  reader.push(bytes)
  const { type, body } = reader.next() ?? expect.fail()
  expect(readFrame(type, body, { from, to })).toEqual(frame)
})

/** The hello of protocol version 1, of builds before 0.1.0. */
const OLD_HELLO =
  '515254450000000101000000013200000000000000060000001531303030303030303030303030303030303030303030000000023737' +
  '0000000132000000026e3200000000000000030000000000000004001fffffffffffff00000000000000010000000e3132372e302e302e313a37343031'

test('a hello of another version is recognized, with the name from version 2 on, whatever follows', () => {
  const old = new Reader(Buffer.from(OLD_HELLO, 'hex'), 'a hello', MalformedError)
  expect(readGreetingFrame(CODE.hello, old)).toEqual({ type: 'foreign-hello', version: 1, name: undefined })
  const newer = new Writer()
    .uint32(0x51_52_54_45)
    .uint32(PROTOCOL_VERSION + 1)
    .utf8('n3')
    .uint8(255)
    .written()
  expect(readGreetingFrame(CODE.hello, new Reader(newer, 'a hello', MalformedError))).toEqual({
    type: 'foreign-hello',
    version: PROTOCOL_VERSION + 1,
    name: 'n3',
  })
})
