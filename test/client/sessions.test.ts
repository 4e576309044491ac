// Which identity a write has: a slot of a session, or a token; and which node it goes to first.

import { expect, test, vi } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { held, oneNodeWithSession, PUT, served } from './one-node.ts'
import type { Item, RelayedLines } from './relayed-lines.ts'
import { problem } from './relayed-node.ts'
import { clientOf, connected, fake, fakePeer, freezeTime, until } from './with-fakes.ts'

const identitiesOf = (items: readonly Item[]) =>
  items.filter(([, op]) => op === PUT).map((item) => item[5] as unknown[])

interface Setting {
  readonly lines: RelayedLines
  readonly kv: Client
}

/** Writes until one is made in this session. */
async function writesIn(session: number, { lines, kv }: Setting): Promise<void> {
  const isIn = ([number, , seq]: readonly unknown[]) => number === session && seq !== undefined
  for (let n = 0; n < 200; n++) {
    await kv.put('warm', '1')
    if (identitiesOf(lines.items).some(isIn)) return
  }
  throw new Error(`no write was made in session ${session}`)
}

test('writes one after the other share a slot, and each has the next number', async () => {
  const { lines, kv, node } = await oneNodeWithSession()
  for (let n = 0; n < 5; n++) await kv.put(`k${n}`, 'v')
  const slots = identitiesOf(lines.items)
  expect(new Set(slots.map(([session, slot]) => `${session} ${slot}`)).size).toBe(1)
  const seqs = slots.map(([, , seq]) => Number(seq))
  expect(seqs).toEqual(seqs.map((_, at) => Number(seqs[0]) + at))
  expect(node.sessionsAsked).toBe(1)
})

test('writes in flight together have slots of their own, and tokens when there are no more slots', async () => {
  const { lines, kv } = await oneNodeWithSession({ slots: 3 })
  const items = held(lines)
  const puts: Promise<unknown>[] = []
  // Writes of one turn would be one batch with one slot.
  for (let n = 0; n < 5; n++) {
    puts.push(kv.put(`k${n}`, 'v'))
    await until(() => items.length === puts.length)
  }
  const identities = identitiesOf(items.map(({ item }) => item))
  const slots = identities.filter(({ length }) => length === 3).map(([, slot]) => slot)
  expect(slots.toSorted()).toEqual([0, 1, 2])
  expect(identities.filter(({ length }) => length === 2)).toHaveLength(2)
  for (const { item, line } of items) line.send(served(item))
  await Promise.all(puts)
})

test('a write keeps its slot and number while it is tried again, also over HTTP', async () => {
  const { node, lines, kv } = await oneNodeWithSession()
  node.seen.length = 0
  node.faults.push(problem(503, 'no_leader', 'an election', { retry_after_ms: 1 }))
  node.faults.push(problem(504, 'outcome_unknown', 'the leader was lost'))
  await kv.put('a', 'b')
  const [first] = identitiesOf(lines.items)
  const header = `${first?.[0]};slot=${first?.[1]};seq=${first?.[2]}`
  expect(node.seen.map(({ headers }) => headers['kv-session'])).toEqual([header, header, header])
  expect(node.rows.get('a')?.version).toBe(1)
  // Only then the slot is used again.
  await kv.put('a', 'c')
  expect(identitiesOf(lines.items).at(-1)).toEqual([first?.[0], first?.[1], Number(first?.[2]) + 1])
})

test('no other write has the slot of one that is to be tried again', async () => {
  freezeTime()
  const { node, lines, kv } = await oneNodeWithSession()
  node.seen.length = 0
  node.faults.push(problem(503, 'no_leader', 'an election', { retry_after_ms: 500 }))
  const first = kv.put('a', '1')
  await until(() => node.seen.length === 1)
  // Its refusal has arrived before this answer.
  await kv.get('x')
  await kv.put('b', '2')
  const [one, other] = identitiesOf(lines.items)
  expect(other).toHaveLength(3)
  expect(other?.[1]).not.toBe(one?.[1])
  await vi.advanceTimersByTimeAsync(1_000)
  await first
  expect(node.contents).toMatchObject({ a: '1', b: '2' })
})

test('a session that the cluster has forgotten is given up: the write is made under a token, later ones in a new session', async () => {
  const { node, lines, kv } = await oneNodeWithSession()
  node.forgetSessions()
  await kv.put('a', 'b')
  expect(node.rows.get('a')?.version).toBe(1)
  await writesIn(2, { lines, kv })
  expect(node.sessionsAsked).toBe(2)
})

test('a session that the cluster has forgotten is not used again, also if no other can be opened', async () => {
  const { node, lines, kv } = await oneNodeWithSession()
  node.forgetSessions()
  node.sessions = undefined
  for (const key of ['a', 'b', 'c']) await kv.put(key, '1')
  // Only the first of them was refused.
  expect(identitiesOf(lines.items).map(({ length }) => length)).toEqual([3, 2, 2, 2])
})

test('a session is used for half the time after which it is forgotten', async () => {
  freezeTime()
  const { node, lines, kv } = await oneNodeWithSession({ ageMs: 10_000 })
  await kv.put('a', '1')
  await vi.advanceTimersByTimeAsync(4_000)
  await kv.put('a', '2')
  expect(node.sessionsAsked).toBe(1)
  await vi.advanceTimersByTimeAsync(1_100)
  await writesIn(2, { lines, kv })
  expect(node.sessionsAsked).toBe(2)
})

test('late answers to writes of a former session change nothing in the new one', async () => {
  const { node, lines, kv } = await oneNodeWithSession()
  const slotOf = (item: Item) => item[5] as readonly unknown[]
  const items = held(lines)
  const former: Promise<unknown>[] = []
  for (const key of ['done', 'forgotten']) {
    former.push(kv.put(key, '1'))
    await until(() => items.length === former.length)
  }
  const [done, forgotten] = items.map((each) => each)
  lines.onItem = () => false
  node.forgetSessions()
  await writesIn(2, { lines, kv })
  const current = held(lines)
  const writes = [kv.put('a', '1')]
  await until(() => current.length === 1)

  if (done === undefined || forgotten === undefined) throw new Error('nothing is held')
  done.line.send(served(done.item, node.revision))
  await former[0]
  lines.onItem = (item, line) =>
    Buffer.from(item[3] as Uint8Array).toString() !== 'forgotten' && current.push({ item, line }) > 0
  forgotten.line.send([
    forgotten.item[0],
    1,
    { code: 'idempotency_expired', status: 409, detail: 'forgotten' },
    node.revision,
    false,
  ])
  await former[1]
  for (const key of ['b', 'c']) {
    writes.push(kv.put(key, '1'))
    await until(() => current.length === writes.length)
  }

  const slots = current.map(({ item }) => slotOf(item))
  expect(slots.map(([session]) => session)).toEqual([2, 2, 2])
  expect(new Set(slots.map(([, slot]) => slot)).size).toBe(3)
  expect(node.sessionsAsked).toBe(2)
  for (const { item, line } of current) line.send(served(item, node.revision))
  await Promise.all(writes)
})

test('a change goes to the leader, and so does a lone read', async () => {
  freezeTime()
  const first = await fake('n1')
  const nodes = [first, await fakePeer(first, 'n2'), await fakePeer(first, 'n3')]
  for (const node of nodes) {
    node.leader = 'n2'
    node.multiplex()
  }
  const kv = clientOf(nodes, { transport: 'auto' })
  await connected(kv, nodes)
  for (let n = 0; n < 6; n++) await kv.put(`k${n}`, 'v')
  expect(nodes.map(({ seen }) => seen.filter(({ method }) => method === 'PUT').length)).toEqual([0, 6, 0])
  for (let n = 0; n < 6; n++) await kv.get('k')
  expect(nodes.map(({ seen }) => seen.filter(({ method }) => method === 'GET').length)).toEqual([0, 6, 0])
})

test('where sessions cannot be opened, writes have tokens, and it is tried again after a while', async () => {
  freezeTime()
  const node = await fake()
  const lines = node.multiplex()
  const kv = clientOf([node], { transport: 'auto' })
  await connected(kv, [node])
  for (let n = 0; n < 30; n++) await kv.put('a', `${n}`)
  expect(identitiesOf(lines.items).every(({ length }) => length === 2)).toBe(true)
  expect(node.sessionsAsked).toBe(1)
  node.sessions = { ageMs: 900_000, slots: 4096 }
  await vi.advanceTimersByTimeAsync(10_001)
  await writesIn(1, { lines, kv })
})

test('changes follow the leader to another node, whoever tells of it first', async () => {
  freezeTime()
  const first = await fake('n1')
  const nodes = [first, await fakePeer(first, 'n2'), await fakePeer(first, 'n3')]
  const lines = nodes.map((node) => node.multiplex())
  const kv = clientOf(nodes, { transport: 'auto' })
  await connected(kv, nodes)
  /** The node reports it before its next answer. */
  const tell = async (at: number, term: number, leader: string | null): Promise<void> => {
    for (const line of lines[at]?.open ?? []) line.send([0, 'leader', term, leader])
    for (let n = 0; n < nodes.length; n++) await kv.get('k')
  }
  const putsGoTo = async (): Promise<readonly (string | undefined)[]> => {
    for (const { seen } of nodes) seen.length = 0
    for (let n = 0; n < 3; n++) await kv.put('k', 'v')
    return nodes.flatMap(({ name, seen }) => seen.flatMap(({ method }) => (method === 'PUT' ? [name] : [])))
  }
  expect(await putsGoTo()).toEqual(['n1', 'n1', 'n1'])
  await tell(2, 4, 'n2')
  expect(await putsGoTo()).toEqual(['n2', 'n2', 'n2'])
  // An older term tells nothing new.
  await tell(0, 3, 'n1')
  expect(await putsGoTo()).toEqual(['n2', 'n2', 'n2'])
  await tell(1, 4, null)
  expect(new Set(await putsGoTo()).size).toBe(3)
  await tell(0, 4, 'n3')
  expect(await putsGoTo()).toEqual(['n3', 'n3', 'n3'])
})
