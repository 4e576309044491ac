import { expect, test } from 'vitest'
import { asIndex, asTerm, type Message } from '../../../src/raft/types.ts'
import { introduce, pair, party } from './parties.ts'

const heartbeat = (from: { id: Message['from'] }, to: { id: Message['to'] }, round: number): Message => ({
  type: 'heartbeat',
  from: from.id,
  to: to.id,
  term: asTerm(3),
  commit: asIndex(0),
  round,
  confirmed: undefined,
})

test('messages go both ways, in order', async () => {
  const [a, b] = await pair()
  for (let round = 0; round < 100; round++) {
    a.network.send(heartbeat(a.member, b.member, round))
    b.network.send(heartbeat(b.member, a.member, round))
  }
  for (let round = 0; round < 100; round++) {
    expect((await b.next('message')).message).toEqual(heartbeat(a.member, b.member, round))
    expect((await a.next('message')).message).toEqual(heartbeat(b.member, a.member, round))
  }
})

test('a broken connection is told at once, and that the peer is gone soon after', async () => {
  const [a, b] = await pair()
  b.network.close()
  expect(await a.next('disconnected')).toEqual({ kind: 'disconnected', peer: '2' })
  expect(await a.next('refused')).toEqual({ kind: 'refused', peer: '2' })
  await b.network.closed
  const again = await party({ id: 2, boot: 2, port: Number(b.member.peer.split(':')[1]) })
  introduce(a, again)
  await Promise.all([a.next('connected'), again.next('connected')])
})
