// Keep-alives of a node that does not lead. The test says who leads, and what the leader answers.

import { expect, test } from 'vitest'
import { asRevision, type LeaseId } from '../../../src/kv/index.ts'
import { asReplicaId, type ReplicaId } from '../../../src/raft/index.ts'
import { LeaseForwarder } from '../../../src/server/leases/lease-forwarder.ts'
import { driverLimits } from '../../../src/server/limits.ts'
import type { LeaseMessage, Result } from '../../../src/server/types.ts'
import { VirtualClock } from '../virtual-clock.ts'

const [SELF, A, B] = [asReplicaId('1'), asReplicaId('2'), asReplicaId('3')]
const ID = '7' as LeaseId
const TTL = 3000

type Kept = Result<readonly (number | undefined)[]>

function forwarding(proposalsMax = 10) {
  const clock = new VirtualClock()
  const sent: { readonly to: ReplicaId; readonly request: number }[] = []
  const here = { leader: A as ReplicaId | undefined, takes: true, keptHere: 0 }
  const node = {
    self: SELF,
    leader: () => here.leader,
    send: (to: ReplicaId, message: LeaseMessage) => {
      if (here.takes) sent.push({ to, request: message.request })
      return here.takes
    },
    keepAlive: (_: readonly LeaseId[], __: number, done: (kept: Kept) => void) => {
      here.keptHere++
      done({ ok: true, value: [TTL] })
    },
    reached: (_: number, __: number, done: (reached: boolean) => void) => done(true),
  }
  const forwarder = new LeaseForwarder(node, clock, { ...driverLimits, proposalsMax })
  const asks = (): { result: Kept | undefined } => {
    const answer: { result: Kept | undefined } = { result: undefined }
    forwarder.keepAlive([ID], 1000, (result) => {
      answer.result = result
    })
    return answer
  }
  const answer = (from: ReplicaId, kept: readonly (number | undefined)[] | undefined): void => {
    const request = sent.at(-1)?.request ?? 0
    forwarder.answered(from, { type: 'keep-alive-answer', request, revision: asRevision(5), kept })
  }
  return { clock, sent, here, forwarder, asks, answer }
}

test('a question that the leader has refused is asked again', () => {
  const { clock, sent, forwarder, asks, answer } = forwarding()
  const asked = asks()
  answer(A, undefined)
  clock.advance(driverLimits.retryMs)
  expect(sent.map(({ to }) => to)).toEqual([A, A])
  answer(A, [TTL])
  expect(asked.result).toEqual({ ok: true, value: [TTL] })
  expect(forwarder.size).toBe(0)
})

test('a question whose message was dropped is asked again', () => {
  const { clock, sent, here, asks, answer } = forwarding()
  here.takes = false
  const asked = asks()
  here.takes = true
  clock.advance(driverLimits.retryMs)
  expect(sent).toHaveLength(1)
  answer(A, [undefined])
  expect(asked.result).toEqual({ ok: true, value: [undefined] })
})

test('a question is asked again when the connection has broken and is there again, and of another leader', () => {
  const { sent, here, forwarder, asks, answer } = forwarding()
  const asked = asks()
  forwarder.check()
  expect(sent).toHaveLength(1)
  forwarder.disconnected(A)
  forwarder.check()
  here.leader = B
  forwarder.check()
  expect(sent.map(({ to }) => to)).toEqual([A, A, B])
  // A refusal of the earlier one does not count.
  answer(A, undefined)
  answer(B, [TTL])
  expect(asked.result).toEqual({ ok: true, value: [TTL] })
})

test('a node that has become the leader answers by itself', () => {
  const { here, forwarder, asks } = forwarding()
  const asked = asks()
  here.leader = SELF
  forwarder.check()
  expect(asked.result).toEqual({ ok: true, value: [TTL] })
  expect(here.keptHere).toBe(1)
})

test('without an answer the client is told so when its time is over, and a later answer is nothing', () => {
  const { clock, forwarder, asks, answer } = forwarding()
  const asked = asks()
  clock.advance(1000)
  expect(asked.result).toMatchObject({ ok: false, problem: { code: 'no_leader', written: 'no' } })
  answer(A, [TTL])
  expect(asked.result).toMatchObject({ ok: false })
  expect(forwarder.size).toBe(0)
})

test('questions are bounded, and a node that ends answers all of them', () => {
  const { clock, forwarder, asks } = forwarding(2)
  const asked = [asks(), asks(), asks()]
  clock.advance(1)
  expect(asked[2]?.result).toMatchObject({ ok: false, problem: { code: 'overloaded' } })
  forwarder.endAll('the node stops')
  for (const { result } of asked.slice(0, 2)) expect(result).toMatchObject({ problem: { code: 'not_ready' } })
  expect(forwarder.size).toBe(0)
})

test('an answer about another number of leases is no answer', () => {
  const { asks, answer } = forwarding()
  asks()
  expect(() => answer(A, [TTL, TTL])).toThrow('a keep-alive of 1 leases was answered for 2')
})
