// The keeper of leases on one leader. The test decides when a majority confirms it, and when and in which order its
// entries are applied.

import { describe, expect, test } from 'vitest'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { asTerm } from '../../../../src/raft/index.ts'
import { driverLimits } from '../../../../src/server/node/limits.ts'
import { putOf } from '../../../kv/store.ts'
import { Leader, LOST, type Proposed } from './leader.ts'

const [ONE, TWO] = ['1', '2'] as [LeaseId, LeaseId]
const TTL = 3000
const CHECKPOINT = 5000

const ok = (...ttls: (number | undefined)[]) => ({ kept: { ok: true, value: ttls } })

test('keep-alives that wait are bounded', () => {
  const leader = new Leader()
  leader.begin()
  leader.grant(ONE)
  leader.holdsConfirmations = true
  const codes: string[] = []
  const keepAlive = (): void =>
    leader.keeper.keepAlive([ONE], 1000, (result) => codes.push(result.ok ? 'ok' : result.problem.code))
  for (let count = 0; count <= driverLimits.keepAlivesMax; count++) keepAlive()
  leader.clock.advance(1)
  expect([codes, leader.keeper.inspect().keepAlives]).toEqual([['overloaded'], driverLimits.keepAlivesMax])
  for (const confirm of leader.confirming.splice(0)) confirm(undefined)
  expect([codes.length, leader.keeper.inspect().keepAlives]).toEqual([1 + driverLimits.keepAlivesMax, 0])
})

describe('the end of a lease', () => {
  test('is proposed only when a majority has confirmed the leader since its time has passed', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    leader.holdsConfirmations = true
    leader.clock.advance(10 * TTL)
    expect([leader.ended, leader.confirming.length]).toEqual([[], 1])
    leader.confirming[0]?.(undefined)
    leader.clock.advance(1)
    expect([leader.ended, leader.leases]).toEqual([[[ONE]], 0])
  })

  test('is tried again when a majority did not confirm the leader, or the entry was refused', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    leader.holdsConfirmations = true
    leader.clock.advance(TTL + 1)
    leader.confirming.shift()?.(LOST)
    leader.clock.advance(driverLimits.leaseRetryMs + 1)
    leader.holdsEntries = true
    leader.confirming.shift()?.(undefined)
    leader.proposed.shift()?.done({ ok: false, problem: LOST })
    leader.holdsConfirmations = false
    leader.holdsEntries = false
    expect(leader.leases).toBe(1)
    leader.clock.advance(driverLimits.leaseRetryMs + 2)
    expect([leader.ended, leader.leases]).toEqual([[[ONE], [ONE]], 0])
  })

  test('does not come for a lease that is kept alive while the leader is being confirmed', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    leader.holdsConfirmations = true
    leader.clock.advance(TTL)
    const kept = leader.keepAlive(ONE)
    expect(leader.confirming).toHaveLength(2)
    leader.confirming.pop()?.(undefined)
    expect(kept).toEqual(ok(TTL))
    leader.confirming.pop()?.(undefined)
    leader.clock.advance(TTL - 1)
    expect([leader.ended, leader.leases]).toEqual([[], 1])
    leader.clock.advance(2)
    leader.confirming.pop()?.(undefined)
    leader.clock.advance(1)
    expect(leader.leases).toBe(0)
  })

  test.each([
    ['first', [1, 0], ok(TTL), 1],
    ['last', [0, 1], ok(undefined), 0],
  ] as const)('under way: the log decides, and the keep-alive comes %s', (_, order, kept, left) => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    leader.holdsEntries = true
    leader.clock.advance(TTL + 1)
    const answer = leader.keepAlive(ONE)
    leader.clock.advance(1)
    expect(leader.proposed.map(({ command: { kind } }) => kind)).toEqual(['expire', 'renew'])
    const entries = [...leader.proposed]
    for (const at of order) leader.commit(entries[at] as Proposed)
    expect([answer, leader.leases]).toEqual([kept, left])
    const again = leader.keepAlive(ONE)
    leader.clock.advance(1)
    expect(again).toEqual(kept)
    expect(leader.proposed).toHaveLength(2)
  })

  test('by an entry without a known outcome: the log decides, and the entry may come after a keep-alive', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    leader.holdsEntries = true
    leader.clock.advance(TTL + 1)
    const [late] = leader.proposed
    if (late === undefined) throw new Error('nothing was proposed')
    late.done({ ok: false, problem: { code: 'outcome_unknown', detail: 'late', written: 'unknown' } })
    const kept = leader.keepAlive(ONE)
    leader.clock.advance(1)
    expect([kept, leader.proposed.at(-1)?.command.kind]).toEqual([{}, 'renew'])
    expect(leader.apply(late.command)).toMatchObject({ kind: 'expired', leases: 1 })
    leader.commit(leader.proposed.at(-1) as Proposed)
    expect([kept, leader.leases]).toEqual([ok(undefined), 0])
  })

  test('that an earlier leader has proposed does not come once this one has kept the lease alive', () => {
    const leader = new Leader()
    leader.grant(ONE)
    const late = { kind: 'expire', leases: [{ id: ONE, deadlineMs: TTL + CHECKPOINT }] } as const
    leader.clock.advance(1000)
    leader.begin()
    const kept = leader.keepAlive(ONE)
    leader.clock.advance(2)
    expect(kept).toEqual(ok(TTL))
    expect(leader.apply(late)).toMatchObject({ kind: 'expired', leases: 0 })
    expect(leader.leases).toBe(1)
  })

  test('takes as many leases as an entry may name, and as many keys as a range may have', () => {
    const count = 300
    const leader = new Leader({ rangeKeysMax: 200 })
    leader.begin()
    for (let at = 1; at <= count; at++) {
      const id = `${at}` as LeaseId
      leader.apply({ kind: 'grant', id, ttlMs: at > count / 2 ? TTL + 1 : TTL })
      if (at > count / 2)
        for (const key of ['a', 'b', 'c']) leader.apply({ ...putOf(`${key}${at}`, ''), lease: { id } })
    }
    leader.keeper.check()
    leader.clock.advance(TTL + 1000)
    expect(leader.leases).toBe(0)
    expect(leader.state.keys).toBe(0)
    const sizes = leader.ended.map(({ length }) => length)
    expect(sizes.every((size) => size <= 128)).toBe(true)
    expect(sizes[0]).toBe(128)
    // 66 leases with three keys each.
    expect(sizes.at(-2)).toBe(66)
  })

  test('takes as many bytes of keys as a range may have', () => {
    const leader = new Leader({ rangeBytesMax: 100 })
    leader.begin()
    for (const id of ['1', '2', '3'] as LeaseId[]) {
      leader.grant(id)
      leader.apply({ ...putOf(id.repeat(50), ''), lease: { id } })
    }
    leader.clock.advance(TTL + 10)
    expect(leader.ended.map(({ length }) => length)).toEqual([2, 1])
    expect([leader.leases, leader.state.keys]).toEqual([0, 0])
  })

  test('does not come for a lease that is kept alive while others that are overdue are ended before it', () => {
    const leader = new Leader()
    leader.begin()
    const ids = Array.from({ length: 131 }, (_, at) => String(100 + at) as LeaseId)
    for (const id of ids) leader.grant(id)
    leader.holdsEntries = true
    leader.clock.advance(TTL + 10)
    expect(leader.ended.map(({ length }) => length)).toEqual([128])
    const left = ids.filter((id) => !leader.ended[0]?.includes(id))
    const [kept, revoked, last] = left as [LeaseId, LeaseId, LeaseId]
    const answer = leader.keepAlive(kept)
    leader.apply({ kind: 'revoke', id: revoked })
    leader.clock.advance(1)
    expect(answer).toEqual(ok(TTL))
    const [first] = leader.proposed.splice(0)
    if (first !== undefined) leader.commit(first)
    leader.holdsEntries = false
    leader.clock.advance(10)
    for (const entry of leader.proposed.splice(0)) leader.commit(entry)
    expect(leader.ended.slice(1)).toEqual([[last]])
    expect(leader.leases).toBe(1)
    leader.clock.advance(TTL - 30)
    expect(leader.leases).toBe(1)
    leader.clock.advance(50)
    expect([leader.leases, leader.ended.at(-1)]).toEqual([0, [kept]])
  })

  test('of a lease that has more keys than a range may have comes in parts, and delays no other one', () => {
    const leader = new Leader({ rangeKeysMax: 3 })
    leader.begin()
    leader.grant(ONE)
    leader.grant(TWO)
    for (const key of ['a', 'b', 'c']) leader.apply({ ...putOf(key, ''), lease: { id: ONE } })
    leader.apply({ kind: 'settings', settings: { rangeKeysMax: 2 } })
    leader.clock.advance(TTL + 10)
    expect(leader.ended).toEqual([[ONE, TWO], [ONE], [ONE]])
    expect([leader.leases, leader.state.keys]).toEqual([0, 0])
  })
})

test('of very many leases whose time has passed, some are put in order at a time, those that are due longest', () => {
  const leader = new Leader()
  leader.begin()
  leader.holdsConfirmations = true
  const many = 5000
  for (let id = many; id > 0; id--) leader.grant(String(id) as LeaseId, TTL + many - id)
  leader.clock.advance(TTL + 2 * many)
  const ended: number[] = []
  while (leader.confirming.length > 0 && ended.length < 4096) {
    leader.confirming.shift()?.(undefined)
    leader.clock.advance(1)
    const last = leader.commands.at(-1)
    if (last?.kind === 'expire') ended.push(...last.leases.map(({ id }) => Number(id)))
  }
  expect(ended).toHaveLength(4096)
  expect(Math.min(...ended)).toBe(many - 4096 + 1)
})

describe('a new leader', () => {
  test('keeps a lease until its deadline, since another may have kept it alive', () => {
    const leader = new Leader()
    leader.grant(ONE)
    leader.begin()
    leader.clock.advance(TTL + CHECKPOINT - 5)
    expect([leader.leases, leader.keeper.remainingMs(ONE)]).toEqual([1, 4])
    leader.clock.advance(10)
    expect(leader.leases).toBe(0)
  })

  test('reads no leases before it has applied an entry of its own term', () => {
    const leader = new Leader()
    leader.grant(ONE)
    leader.keeper.check()
    leader.clock.advance(10 * (TTL + CHECKPOINT))
    expect([leader.openScans, leader.leases, leader.commands]).toEqual([0, 1, []])
    leader.begin()
    leader.clock.advance(10)
    expect(leader.leases).toBe(0)
  })

  test('is told of what changes while it reads', () => {
    const leader = new Leader()
    const ids = ['1', '2', '3', '4'] as LeaseId[]
    for (const id of ids) leader.grant(id)
    let page = 0
    leader.onPage = () => {
      page++
      if (page === 1) leader.apply({ kind: 'revoke', id: '4' as LeaseId })
      if (page === 2) leader.apply({ kind: 'renew', ids: ['1', '3'] as LeaseId[] })
      if (page === 3) leader.apply({ kind: 'grant', id: '9' as LeaseId, ttlMs: TTL })
      if (page === 3) leader.apply({ ...putOf('k', ''), lease: { id: '2' as LeaseId } })
    }
    leader.clock.advance(100)
    leader.begin()
    leader.clock.advance(5)
    expect([page, leader.openScans, leader.leases]).toEqual([4, 0, 4])
    expect(leader.keeper.remainingMs('4' as LeaseId)).toBeUndefined()
    // Only the lease that was known before its renewal is certain to have no other keep-alive.
    leader.clock.advance(TTL + 10)
    expect(leader.leases).toBe(3)
    leader.clock.advance(CHECKPOINT - 100)
    expect(leader.leases).toBe(2)
    leader.clock.advance(200)
    expect(leader.leases).toBe(0)
  })
})

describe('keep-alives', () => {
  test('are answered from memory up to the deadline, and by one entry for all that are beyond', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE, 10_000)
    leader.clock.advance(CHECKPOINT - 1)
    leader.grant(TWO, 10_000)
    const both = () => leader.keepAlive(ONE, '3' as LeaseId, TWO)
    const early = both()
    leader.clock.advance(1)
    expect(early).toEqual(ok(10_000, undefined, 10_000))
    expect(leader.commands).toEqual([])
    leader.clock.advance(10)
    const late = both()
    leader.clock.advance(2)
    expect(late).toEqual(ok(10_000, undefined, 10_000))
    expect(leader.commands).toEqual([{ kind: 'renew', ids: [ONE] }])
    expect(leader.keeper.totals).toEqual({ expired: 0, inMemory: 3, inLog: 1 })
  })

  test('hold, also if a renewal that is older is applied after them', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    const stampedAt = leader.clock.now()
    leader.clock.advance(1000)
    const kept = leader.keepAlive(ONE)
    leader.clock.advance(1)
    expect(kept).toEqual(ok(TTL))
    leader.apply({ kind: 'renew', ids: [ONE] }, stampedAt)
    expect(leader.keeper.remainingMs(ONE)).toBe(TTL - 1)
  })

  test('that were asked of a leader of an earlier term are answered by the log, also if it leads again', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    leader.holdsConfirmations = true
    const kept = leader.keepAlive(ONE)
    leader.term = undefined
    leader.keeper.check()
    leader.begin(asTerm(5))
    // Now this leader has set the deadline.
    leader.apply({ kind: 'renew', ids: [ONE] })
    leader.confirming.shift()?.(undefined)
    leader.clock.advance(1)
    expect([kept, leader.commands]).toEqual([ok(TTL), [{ kind: 'renew', ids: [ONE] }]])
  })

  test('are refused when no majority confirms the leader', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    leader.holdsConfirmations = true
    const kept = leader.keepAlive(ONE)
    leader.confirming[0]?.(LOST)
    expect(kept).toEqual({ kept: { ok: false, problem: LOST } })
    expect(leader.keeper.remainingMs(ONE)).toBe(TTL)
  })

  test('on a node that does not lead are for the leader, and an entry if that does not answer', () => {
    const follower = new Leader()
    follower.term = undefined
    follower.leader = (ids) => ids.map((id) => (id === ONE ? 7 : undefined))
    expect(follower.keepAlive(ONE, TWO)).toEqual({})
    const kept = follower.keepAlive(TWO, ONE)
    follower.clock.advance(1)
    expect(kept).toEqual({ kept: { ok: true, value: [undefined, 7] } })
    expect(follower.commands).toEqual([])
    follower.leader = () => undefined
    follower.keepAlive(ONE)
    follower.clock.advance(1)
    expect(follower.commands).toEqual([{ kind: 'renew', ids: [ONE] }])
  })

  test('of another node are answered by a leader, and by no other node', () => {
    const leader = new Leader()
    leader.begin()
    leader.grant(ONE)
    const answers: unknown[] = []
    const ask = () => leader.keeper.keepAliveFor([ONE, TWO], 100, (kept) => answers.push(kept))
    ask()
    leader.clock.advance(1)
    leader.holdsConfirmations = true
    ask()
    leader.confirming[0]?.(LOST)
    leader.term = undefined
    ask()
    expect(answers).toEqual([[TTL, undefined], undefined, undefined])
    expect(leader.commands).toEqual([])
  })
})

describe('the time', () => {
  test('is told by an entry when no other has told it for a checkpoint time, as long as there are leases', () => {
    const leader = new Leader()
    leader.begin()
    leader.clock.advance(10 * CHECKPOINT)
    leader.grant(ONE, 1_000_000)
    leader.clock.advance(CHECKPOINT / 2)
    leader.apply(putOf('k', 'v'))
    leader.clock.advance(CHECKPOINT - 1)
    expect(leader.commands).toEqual([])
    leader.clock.advance(2)
    expect(leader.commands).toEqual([{ kind: 'renew', ids: [] }])
    leader.clock.advance(10 * CHECKPOINT + 100)
    expect(leader.commands).toHaveLength(11)
    leader.apply({ kind: 'revoke', id: ONE })
    leader.clock.advance(10 * CHECKPOINT)
    expect(leader.commands).toHaveLength(11)
  })

  test('is told by the entry that ends leases: where there is room for one proposal, none takes its place', () => {
    const leader = new Leader({ leaseCheckpointMs: 100 })
    leader.begin()
    leader.grant(ONE)
    leader.clock.advance(TTL - 50)
    expect(leader.commands.filter(({ kind }) => kind === 'renew').length).toBeGreaterThan(20)
    leader.holdsEntries = true
    leader.clock.advance(100)
    expect(leader.proposed.map(({ command }) => command.kind)).toEqual(['expire'])
    leader.clock.advance(1000)
    expect(leader.proposed).toHaveLength(1)
  })
})

test('the table is not read while an entry is applied in parts: the scan would lack its changes', () => {
  const leader = new Leader()
  leader.isApplying = true
  leader.begin()
  expect(leader.openScans).toBe(0)
  // The rest of the entry, whose first changes the keeper has ignored.
  leader.grant(ONE)
  leader.isApplying = false
  leader.keeper.check()
  leader.clock.advance(1)
  expect(leader.keeper.remainingMs(ONE)).toBeDefined()
})
