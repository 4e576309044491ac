// A conversation of two nodes with every frame, in both directions.

import type { LeaseId } from '../../src/operations/forms/index.ts'
import { asIndex, asReplicaId, asTerm, type Entry, type Refusal } from '../../src/raft/types.ts'
import type { Frame } from '../../src/server/peers/wires.ts'
import type { Modules } from './checkout.ts'

export const [ONE, TWO] = [asReplicaId('18446744073709551615'), asReplicaId('2')]

const REFUSALS: readonly Refusal[] = [
  { reason: 'no-leader' },
  { reason: 'not-leader' },
  { reason: 'overloaded', detail: 'overloaded ä' },
  { reason: 'transferring' },
  { reason: 'too-large', detail: 'too large' },
  { reason: 'membership', detail: 'membership' },
  { reason: 'membership-pending', detail: 'pending' },
  { reason: 'disk-full', detail: 'full' },
]

export function conversation({ raft }: Modules, crc32: (bytes: Uint8Array) => number): readonly Frame[] {
  const base = { from: ONE, to: TWO, term: asTerm(5) }
  const header = { kind: 17, version: 1, proposer: TWO, boot: 3, seq: 2 }
  const sealed = () => raft.sealFrame(raft.newFrame(header, 4), crc32)
  const entry = (index: number, term: number): Entry => {
    const frame = sealed()
    raft.stampFrame(frame, asTerm(term), asIndex(index), 12)
    return { index: asIndex(index), term: asTerm(term), frame }
  }
  const [commit, applied, lastIndex] = [asIndex(11), asIndex(12), asIndex(13)]
  const times = { round: 7, sentAt: 1234.0625 }
  const greeting = {
    ...{ clusterId: '77', replicaId: TWO, name: 'n2', boot: 3, term: asTerm(4), lastIndex },
    ...{ clusterVersion: 1, peer: '127.0.0.1:7401' },
  }
  const meta = {
    ...{ index: asIndex(9), term: asTerm(3), stateHash: 2n ** 63n + 5n },
    applied: {
      ...{ index: asIndex(9), term: asTerm(3) },
      ...{ raft: Uint8Array.of(1, 2), kv: Uint8Array.of(3) },
    },
  }
  return [
    { type: 'hello', purpose: 'messages', target: TWO, attempt: 6, incarnation: 2n ** 80n, greeting },
    { type: 'welcome', incarnation: 3n, greeting },
    { ...base, type: 'pre-vote-request', lastIndex, lastTerm: asTerm(5), transfer: false },
    { ...base, type: 'pre-vote-answer', granted: false, commit, commitTerm: asTerm(5) },
    { ...base, type: 'vote-request', lastIndex, lastTerm: asTerm(5), transfer: true },
    { ...base, type: 'vote-answer', granted: true, commit, commitTerm: asTerm(5) },
    {
      ...{ ...base, type: 'append', prevIndex: asIndex(3), prevTerm: asTerm(4), commit, round: 7 },
      entries: [entry(4, 4), entry(5, 5)],
    },
    { ...base, type: 'append-accepted', index: asIndex(5), ...times, applied },
    {
      ...{ ...base, type: 'append-rejected', index: asIndex(3), ...times, lastIndex },
      ...{ hintIndex: asIndex(2), hintTerm: asTerm(1) },
    },
    {
      ...{ ...base, type: 'heartbeat', commit, round: 7, confirmed: undefined },
      appliedByMajority: asIndex(6),
    },
    {
      ...{ ...base, type: 'heartbeat', commit, round: 7, appliedByMajority: asIndex(6) },
      confirmed: { at: -2.5, readIndex: asIndex(8) },
    },
    { ...base, type: 'heartbeat-answer', ...times, applied, matched: asIndex(13), room: 7, lastIndex },
    { ...base, type: 'forward', boot: 3, proposals: [{ seq: 2, frame: sealed() }] },
    {
      ...{ ...base, type: 'forward-refused', meantFor: asTerm(8) },
      refused: REFUSALS.map((refusal, at) => ({ seq: at + 1, refusal })),
    },
    { ...base, type: 'read-index', request: 5, leaderLease: true },
    ...(['no-leader', 'not-leader', 'leadership-lost', 'not-ready', undefined] as const).map(
      (refusal): Frame => ({
        ...{ ...base, type: 'read-index-answer', request: 5, index: asIndex(4) },
        ...{ refusal, leaderLease: false, commit },
      }),
    ),
    { ...base, type: 'transfer-request', target: ONE },
    { ...base, type: 'transfer-request', target: undefined },
    { ...base, type: 'timeout-now' },
    { ...base, type: 'lost-state', detail: 'where \u{1f600}' },
    { type: 'state-hash', at: { index: asIndex(7), hash: 2n ** 63n } },
    { type: 'member-request', id: TWO },
    { type: 'member-answer', id: TWO, member: { name: 'n2', peer: 'n2:7401' } },
    {
      type: 'keep-alive',
      question: { number: 4, timeoutMs: 1000, renews: true, ids: ['7', '9223372036854775807'] as LeaseId[] },
    },
    { type: 'kept-alive', answer: { number: 4, kept: [5000, undefined] } },
    { type: 'kept-alive', answer: { number: 5, kept: undefined } },
    { type: 'report-request', request: { number: 1, kind: 'status' } },
    { type: 'report-request', request: { number: 2, kind: 'metrics' } },
    { type: 'report-answer', answer: { number: 1, report: Uint8Array.of(1, 2, 3) } },
    { type: 'report-answer', answer: { number: 2, report: undefined } },
    { type: 'traces', proposals: [{ proposal: 'p', traceparent: '00-1', tracestate: '' }] },
    { type: 'hello', purpose: 'snapshot', target: TWO, attempt: 7, incarnation: 2n ** 80n, greeting },
    { type: 'snapshot-offer', term: asTerm(5), snapshotId: '9-2-1', meta },
    { type: 'snapshot-accept', nextChunk: 3 },
    { type: 'snapshot-chunk', number: 3, bytes: new Uint8Array(Buffer.from('rows')) },
    { type: 'snapshot-written', number: 3 },
    { type: 'snapshot-end', chunks: 4 },
    { type: 'snapshot-staged' },
    { type: 'refusal', clusterId: '77', stop: true, sentence: 'no' },
  ]
}

/** The frames as bytes, each as it is sent on its own. */
export function encodeFrames({ frames, linkCodec, bytes }: Modules, list: readonly Frame[]): Uint8Array[] {
  const { frameCode, frameTail, isStable, writeFrame } = linkCodec
  return list.map((frame) => {
    const [out, writer] = [new bytes.Writer(), new frames.FrameWriter()]
    writeFrame(out, frame)
    writer.append(frameCode(frame), out.written(), frameTail(frame), isStable(frame))
    return new Uint8Array(Buffer.concat(writer.takePieces()))
  })
}
