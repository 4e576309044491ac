// Proposals at their origin, and forwarded proposals on the leader that received them.

import { describe, expect, test } from 'vitest'
import { ForwardedSeqs, PendingProposals } from '../../src/raft/pending-proposals.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type Entry,
  type Proposal,
  type ProposalOutcome,
  type Refusal,
} from '../../src/raft/types.ts'
import { textFrame } from './harness/frames.ts'

const SELF = asReplicaId('257')
const BOOT = 3

const proposal = (seq: number, text = ''): Proposal => ({ seq, frame: textFrame(SELF, BOOT, seq, text) })
const entry = (index: number, term: number, frame: Uint8Array): Entry => ({
  index: asIndex(index),
  term: asTerm(term),
  frame,
})
const outcomesAt = (term: number): PendingProposals => new PendingProposals(SELF, BOOT, asTerm(term))

function committed(outcomes: PendingProposals, ...entries: Entry[]): ProposalOutcome[] {
  const into: ProposalOutcome[] = []
  outcomes.committed(entries, into)
  return into
}

describe('at the origin', () => {
  test('a committed entry under its name, boot and term is the proposal, whatever its seq', () => {
    const seqs = [1, 255, 256, 65_536, 2 ** 24, 2 ** 32 - 1, 2 ** 32, 2 ** 40, 2 ** 48 - 1]
    const outcomes = outcomesAt(1)
    for (const seq of seqs) outcomes.appended(proposal(seq), asTerm(1))
    expect(outcomes.size).toBe(seqs.length)
    for (const [at, seq] of seqs.entries()) {
      expect(committed(outcomes, entry(at + 1, 1, textFrame(SELF, BOOT, seq, '')))).toEqual([
        { seq, outcome: 'committed', index: at + 1 },
      ])
      expect(outcomes.has(seq)).toBe(false)
    }
    expect(outcomes.size).toBe(0)
  })

  test('an entry of another replica, another boot or another term is not', () => {
    const outcomes = outcomesAt(2)
    outcomes.appended(proposal(7), asTerm(2))
    const others = [
      entry(1, 2, textFrame(asReplicaId('258'), BOOT, 7, '')),
      entry(2, 2, textFrame(asReplicaId('1'), BOOT, 7, '')),
      entry(2, 2, textFrame(asReplicaId(`${2n ** 56n + 257n}`), BOOT, 7, '')),
      entry(3, 2, textFrame(SELF, BOOT + 1, 7, '')),
      entry(4, 2, textFrame(SELF, BOOT, 8, '')),
    ]
    expect(committed(outcomes, ...others)).toEqual([])
    expect(committed(outcomesAt(2), ...others)).toEqual([])
    expect(outcomes.has(7)).toBe(true)
  })

  test('an entry of a newer term supersedes what was meant for older ones, and nothing else', () => {
    const outcomes = outcomesAt(2)
    outcomes.appended(proposal(1), asTerm(2))
    outcomes.forwarded(proposal(2), asTerm(3))
    outcomes.appended(proposal(3), asTerm(4))
    expect(committed(outcomes, entry(1, 2, textFrame(SELF, BOOT, 9, '')))).toEqual([])
    // An entry with another term than the proposal's: the proposal of that seq is still open.
    expect(committed(outcomes, entry(2, 3, textFrame(SELF, BOOT, 3, '')))).toEqual([
      { seq: 1, outcome: 'superseded' },
    ])
    expect([outcomes.has(1), outcomes.has(2), outcomes.has(3)]).toEqual([false, true, true])
    expect(committed(outcomes, entry(3, 4, textFrame(SELF, BOOT, 3, '')))).toEqual([
      { seq: 2, outcome: 'superseded' },
      { seq: 3, outcome: 'committed', index: 3 },
    ])
    expect([outcomes.size, outcomes.forwardedBytes]).toEqual([0, 0])
  })

  test('a proposal that a snapshot may contain is unknown; one that was meant for a later term stays open', () => {
    const outcomes = outcomesAt(1)
    outcomes.appended(proposal(1), asTerm(1))
    outcomes.forwarded(proposal(2, 'abc'), asTerm(2))
    outcomes.forwarded(proposal(3), asTerm(3))
    const into: ProposalOutcome[] = []
    outcomes.hidden(asTerm(2), into)
    expect(into).toEqual([
      { seq: 1, outcome: 'unknown' },
      { seq: 2, outcome: 'unknown' },
    ])
    expect([outcomes.size, outcomes.forwardedBytes]).toEqual([1, proposal(3).frame.length])
    // The snapshot's term is now the newest: another entry of it supersedes nothing.
    expect(committed(outcomes, entry(9, 2, textFrame(SELF, BOOT, 1, '')))).toEqual([])
    expect(outcomes.size).toBe(1)
  })

  test('bytes are counted until the outcome is known, and those of forwarded proposals separately', () => {
    const outcomes = outcomesAt(1)
    const [small, large] = [proposal(1, 'a'), proposal(2, 'abcdef')]
    outcomes.forwarded(small, asTerm(1))
    outcomes.forwarded(large, asTerm(1))
    const own = proposal(3)
    outcomes.appended(own, asTerm(1))
    expect(outcomes.forwardedBytes).toBe(small.frame.length + large.frame.length)
    expect(outcomes.bytes).toBe(small.frame.length + large.frame.length + own.frame.length)
    expect(outcomes.refused(1, asTerm(1))).toBe(true)
    expect(outcomes.forwardedBytes).toBe(large.frame.length)
    expect(outcomes.bytes).toBe(large.frame.length + own.frame.length)
    committed(outcomes, entry(1, 1, large.frame), entry(2, 1, own.frame))
    expect([outcomes.bytes, outcomes.forwardedBytes, outcomes.size]).toEqual([0, 0, 0])
  })

  test('a refusal counts for open proposals that were forwarded to that leader', () => {
    const outcomes = outcomesAt(1)
    outcomes.appended(proposal(1), asTerm(2))
    outcomes.forwarded(proposal(2), asTerm(2))
    expect(outcomes.refused(1, asTerm(2))).toBe(false)
    expect(outcomes.refused(2, asTerm(1))).toBe(false)
    expect(outcomes.refused(5, asTerm(2))).toBe(false)
    expect(outcomes.size).toBe(2)
    expect(outcomes.refused(2, asTerm(2))).toBe(true)
    expect(outcomes.refused(2, asTerm(2))).toBe(false)
    expect([outcomes.size, outcomes.forwardedBytes]).toEqual([1, 0])
  })

  test('a seq is forwarded to a leader once, and again after a broken connection', () => {
    const outcomes = outcomesAt(1)
    const may = (seq: number, term: number): boolean => outcomes.mayForward(seq, asTerm(term))
    outcomes.forwarded(proposal(4), asTerm(2))
    outcomes.appended(proposal(5), asTerm(2))
    expect([may(3, 2), may(4, 2), may(5, 2), may(4, 3), may(3, 1), may(5, 1)]).toEqual([
      false,
      false,
      true,
      true,
      false,
      true,
    ])
    expect(outcomes.forwardedInTerm(asTerm(2)).map(({ seq }) => seq)).toEqual([4])
    expect(outcomes.forwardedInTerm(asTerm(1))).toEqual([])
  })
})

describe('at the leader', () => {
  const refusal: Refusal = { reason: 'transferring' }
  const origin = asReplicaId('5')

  test('a seq is new once per boot, and every seq of a newer boot is new', () => {
    const seqs = new ForwardedSeqs(asTerm(1), 2)
    expect(seqs.isNew(origin, 1, 1)).toBe(true)
    seqs.record(origin, 2, 10, undefined)
    expect([9, 10, 11].map((seq) => seqs.isNew(origin, 2, seq))).toEqual([false, false, true])
    expect([1, 3].map((boot) => seqs.isNew(origin, boot, 11))).toEqual([false, true])
    expect(seqs.isNew(origin, 3, 1)).toBe(true)
    expect(seqs.isNew(asReplicaId('6'), 1, 1)).toBe(true)
  })

  test('the last refused seqs of a boot are refused again', () => {
    const seqs = new ForwardedSeqs(asTerm(1), 2)
    seqs.record(origin, 1, 1, refusal)
    seqs.record(origin, 1, 2, undefined)
    seqs.record(origin, 1, 3, refusal)
    expect([1, 2, 3].map((seq) => seqs.refusal(origin, 1, seq))).toEqual([refusal, undefined, refusal])
    seqs.record(origin, 1, 4, refusal)
    expect([1, 3, 4].map((seq) => seqs.refusal(origin, 1, seq))).toEqual([undefined, refusal, refusal])
    expect(seqs.refusal(origin, 2, 4)).toBe(undefined)
    expect(seqs.refusal(asReplicaId('6'), 1, 4)).toBe(undefined)
    seqs.record(origin, 2, 1, undefined)
    expect([seqs.refusal(origin, 1, 4), seqs.isNew(origin, 1, 99)]).toEqual([undefined, false])
  })
})
