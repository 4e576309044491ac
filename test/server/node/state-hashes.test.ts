import { expect, test } from 'vitest'
import { asIndex, asReplicaId, type ReplicaId } from '../../../src/raft/types.ts'
import { StateHashes } from '../../../src/server/node/upkeep/state-hashes.ts'

const [a, b, c] = ['1', '2', '3'].map(asReplicaId) as [
  ReturnType<typeof asReplicaId>,
  ReturnType<typeof asReplicaId>,
  ReturnType<typeof asReplicaId>,
]
const voters = [a, b, c]
const at = (index: number, hash: bigint) => ({ index: asIndex(index), hash })

test('equal hashes, and hashes of indexes that this replica has not reached, say nothing', () => {
  const hashes = new StateHashes(a)
  expect(hashes.report(b, at(5, 9n), voters).kind).toBe('equal')
  expect(hashes.report(c, at(5, 8n), voters).kind).toBe('equal')
  expect(hashes.report(a, at(6, 1n), voters).kind).toBe('equal')
  expect(hashes.report(b, at(6, 1n), voters).kind).toBe('equal')
})

test('that all hold the same is said when every voter has told it', () => {
  const hashes = new StateHashes(a)
  expect(hashes.report(a, at(5, 1n), voters).kind).toBe('equal')
  expect(hashes.report(asReplicaId('4'), at(5, 1n), voters).kind).toBe('equal')
  expect(hashes.report(b, at(5, 1n), voters).kind).toBe('equal')
  expect(hashes.report(c, at(5, 1n), voters).kind).toBe('all-equal')
})

test('that all held the same before somebody differed is no news', () => {
  const hashes = new StateHashes(a)
  for (const index of [5, 6]) for (const id of [a, b]) hashes.report(id, at(index, 1n), voters)
  expect(hashes.report(c, at(6, 2n), voters).kind).toBe('differs')
  expect(hashes.report(c, at(5, 1n), voters).kind).toBe('equal')
  for (const id of [a, b]) expect(hashes.report(id, at(7, 1n), voters).kind).toBe('equal')
  expect(hashes.report(c, at(7, 1n), voters).kind).toBe('all-equal')
})

test('one differing peer is reported; a majority against this replica is a verdict', () => {
  const hashes = new StateHashes(a)
  hashes.report(a, at(5, 1n), voters)
  expect(hashes.report(b, at(5, 2n), voters).kind).toBe('differs')
  const verdict = hashes.report(c, at(5, 2n), voters)
  expect(verdict.kind).toBe('diverged')
  expect(verdict.kind === 'diverged' && verdict.detail).toMatch(
    /index 5 .*0000000000000002.*0000000000000001/,
  )
})

test('a replica that is with the majority goes on', () => {
  const hashes = new StateHashes(a)
  hashes.report(a, at(5, 1n), voters)
  hashes.report(b, at(5, 1n), voters)
  expect(hashes.report(c, at(5, 2n), voters).kind).toBe('differs')
})

test('three different opinions are no majority', () => {
  const hashes = new StateHashes(a)
  hashes.report(a, at(5, 1n), voters)
  hashes.report(b, at(5, 2n), voters)
  expect(hashes.report(c, at(5, 3n), voters).kind).toBe('differs')
})

test('only voters count towards a majority', () => {
  const hashes = new StateHashes(a)
  const learner = asReplicaId('4')
  hashes.report(a, at(5, 1n), voters)
  hashes.report(b, at(5, 2n), voters)
  expect(hashes.report(learner, at(5, 2n), voters).kind).toBe('differs')
})

test('the oldest indexes are forgotten, the newest sixty-four are not', () => {
  const hashes = new StateHashes(a)
  for (let index = 1; index <= 65; index++) hashes.report(a, at(index, 1n), voters)
  // The first index is forgotten: the report is treated as if this replica had not reached it, and evicts the second
  // index.
  expect(hashes.report(b, at(1, 2n), voters).kind).toBe('equal')
  expect(hashes.report(b, at(65, 2n), voters).kind).toBe('differs')
  expect(hashes.report(b, at(4, 2n), voters).kind).toBe('differs')
})

test('what differs is said with both hashes', () => {
  const hashes = new StateHashes(a)
  hashes.report(a, at(5, 1n), voters)
  expect(hashes.report(b, at(5, 255n), voters)).toEqual({
    kind: 'differs',
    detail: 'at index 5 the state hash here is 0000000000000001, at 2 00000000000000ff',
  })
})

test('half of the voters is no majority', () => {
  const hashes = new StateHashes(a)
  const four = [...voters, asReplicaId('4')]
  hashes.report(a, at(5, 1n), four)
  hashes.report(b, at(5, 2n), four)
  expect(hashes.report(c, at(5, 2n), four).kind).toBe('differs')
  expect(hashes.report(asReplicaId('4'), at(5, 2n), four).kind).toBe('diverged')
})

test('a difference at a lower index, told later, does not hide the one at a higher', () => {
  const hashes = new StateHashes(a)
  for (const index of [3, 5, 7, 9]) hashes.report(a, at(index, 1n), voters)
  expect(hashes.report(b, at(7, 2n), voters).kind).toBe('differs')
  expect(hashes.report(b, at(3, 2n), voters).kind).toBe('differs')
  for (const [index, kind] of [
    [5, 'equal'],
    [9, 'all-equal'],
  ] as const) {
    hashes.report(b, at(index, 1n), voters)
    expect(hashes.report(c, at(index, 1n), voters).kind).toBe(kind)
  }
})

test('of sixty-four indexes none is forgotten', () => {
  const hashes = new StateHashes(a)
  for (let index = 1; index <= 64; index++) hashes.report(a, at(index, 1n), voters)
  expect(hashes.report(b, at(1, 2n), voters).kind).toBe('differs')
})

test('an index at which somebody differed says nothing about those after it, whatever is told of it later', () => {
  const hashes = new StateHashes(a)
  hashes.report(a, at(5, 1n), voters)
  hashes.report(b, at(5, 2n), voters)
  hashes.report(b, at(5, 1n), voters)
  expect(hashes.report(c, at(5, 1n), voters).kind).toBe('equal')
})

test('who agrees, and who differs, is named one by one', () => {
  const detail = (ids: readonly ReplicaId[]): string => {
    const hashes = new StateHashes(a)
    hashes.report(b, at(5, 2n), ids)
    hashes.report(c, at(5, 2n), ids)
    const verdict = hashes.report(a, at(5, 1n), ids)
    return 'detail' in verdict ? verdict.detail : verdict.kind
  }
  expect(detail(voters)).toContain('(2, 3) has state hash 0000000000000002, this replica 0000000000000001')
  expect(detail([a])).toContain('at 2 0000000000000002, 3 0000000000000002')
})
