// Keep-alives that a node forwards to the leader.

import { expect, test } from 'vitest'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { asReplicaId, type ReplicaId } from '../../../../src/raft/types.ts'
import { ForwardedKeepAlives } from '../../../../src/server/node/leases/forwarded-keep-alives.ts'
import type { ForwardedKeepAlive } from '../../../../src/server/node/network.ts'
import { VirtualClock } from '../../virtual-clock.ts'

const [ONE, TWO] = [asReplicaId('1'), asReplicaId('2')]
const IDS = ['7'] as LeaseId[]

function scene(boot = 1) {
  const clock = new VirtualClock()
  const asked: { readonly to: ReplicaId; readonly question: ForwardedKeepAlive }[] = []
  const link = {
    current: ONE as ReplicaId | undefined,
    leader: () => link.current,
    forward: (to: ReplicaId, question: ForwardedKeepAlive) => void asked.push({ to, question }),
  }
  const ended: (readonly (number | undefined)[] | undefined)[] = []
  const forwarded = new ForwardedKeepAlives(link, clock, boot)
  const ask = () => forwarded.forward(IDS, 100, (kept) => ended.push(kept))
  return { clock, asked, link, ended, forwarded, ask }
}

test('the leader is asked, and only its answer to this question counts', () => {
  const { clock, asked, ended, forwarded, ask } = scene()
  expect([ask(), ask()]).toEqual([true, true])
  const [first, second] = asked.map(({ question }) => question.number) as [number, number]
  expect(asked[0]).toEqual({ to: ONE, question: { number: first, timeoutMs: 100, renews: true, ids: IDS } })
  forwarded.answered(TWO, { number: first, kept: [1] })
  forwarded.answered(ONE, { number: 99, kept: [2] })
  expect(ended).toEqual([])
  forwarded.answered(ONE, { number: second, kept: [3] })
  forwarded.answered(ONE, { number: second, kept: [4] })
  expect(ended).toEqual([[3]])
  forwarded.answered(ONE, { number: first, kept: undefined })
  expect(ended).toEqual([[3], undefined])
  expect([forwarded.size, clock.timers]).toEqual([0, 0])
})

test('an answer to an earlier process of this node does not count, although it is late', () => {
  const earlier = scene(4)
  earlier.ask()
  const { asked, ended, forwarded, ask } = scene(5)
  ask()
  const [old] = earlier.asked
  forwarded.answered(ONE, { number: old?.question.number ?? 0, kept: [1] })
  expect(ended).toEqual([])
  const number = asked[0]?.question.number ?? 0
  expect(Number.isSafeInteger(number)).toBe(true)
  forwarded.answered(ONE, { number, kept: [2] })
  expect(ended).toEqual([[2]])
})

test.each<[string, (given: ReturnType<typeof scene>) => void]>([
  ['its time is over', ({ clock }) => clock.advance(100)],
  [
    'another node leads',
    ({ link, forwarded }) => {
      link.current = TWO
      forwarded.check()
    },
  ],
  ['the connection to the leader has broken', ({ forwarded }) => forwarded.check(ONE)],
])('a question ends without an answer when %s', (_, happens) => {
  const given = scene()
  given.ask()
  given.forwarded.check()
  given.forwarded.check(TWO)
  expect(given.ended).toEqual([])
  happens(given)
  expect(given.ended).toEqual([undefined])
  given.forwarded.answered(ONE, { number: 1, kept: [1] })
  expect(given.ended).toHaveLength(1)
  expect([given.forwarded.size, given.clock.timers]).toEqual([0, 0])
})
