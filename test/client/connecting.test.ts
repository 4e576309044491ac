// Connections that are accepted late, and names whose lookup is slow.

import dns from 'node:dns'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { RelayedNode } from './relayed-node.ts'
import { clientOf, failure, fake, freezeTime } from './with-fakes.ts'

beforeEach(freezeTime)
afterEach(() => {
  vi.restoreAllMocks()
})

/** A node that listens already: that looks up a name, too. */
async function listening(): Promise<RelayedNode> {
  const node = await fake()
  await node.openPort()
  return node
}

test.each(['get', 'members', 'addMember'] as const)(
  'a process that is busy while its connection is accepted has reached the node (%s)',
  async (what) => {
    const node = await fake()
    const member = { name: 'n4', replicaId: '9', peer: '127.0.0.1:4', url: 'http://127.0.0.1:5' }
    for (let round = 0; round < 2; round++) {
      const kv = clientOf([node], { unreachableAfterMs: 50, timeoutMs: 20_000 })
      const called = what === 'get' ? kv.get('a') : what === 'members' ? kv.members() : kv.addMember(member)
      // Other work, after the connection was requested: timers run late, and before the process looks at its sockets.
      setImmediate(() => vi.advanceTimersByTime(400))
      await called
    }
  },
)

test('a name whose lookup takes longer than a call is reached by a later one', async () => {
  const node = await listening()
  node.set('a', '1')
  const answers: (() => void)[] = []
  type Found = (error: null, addresses: readonly dns.LookupAddress[]) => void
  const slow = (_host: string, _options: unknown, done: Found) =>
    void answers.push(() => done(null, [{ address: '127.0.0.1', family: 4 }]))
  vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  for (const host of ['slow.example', 'slow2.example']) {
    answers.length = 0
    const kv = clientOf([`${host}:${node.port}`], { timeoutMs: 20_000 })
    const calls = [kv.get('a', { timeoutMs: 300 }), kv.put('a', '2', { timeoutMs: 300 })].map(failure)
    await vi.advanceTimersByTimeAsync(300)
    for (const error of await Promise.all(calls))
      expect(error).toMatchObject({ code: 'unreachable', written: 'no' })
    const found = kv.get('a')
    // The lookup of the first attempt. If each attempt did a new lookup, none would ever connect.
    expect(answers.length).toBe(1)
    answers[0]?.()
    expect((await found)?.text()).toBe('1')
  }
})

// The command gives up soon when no node can be reached, and makes a new client each time.
test('a name whose lookup takes longer than unreachableAfterMs is reached by the first call', async () => {
  const node = await listening()
  node.set('a', '1')
  const answers: (() => void)[] = []
  type Found = (error: Error | null, addresses?: readonly dns.LookupAddress[]) => void
  let answer = (done: Found) => done(null, [{ address: '127.0.0.1', family: 4 }])
  const slow = (_host: string, _options: unknown, done: Found) => void answers.push(() => answer(done))
  vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  const limits = { timeoutMs: 20_000, unreachableAfterMs: 500 }
  const found = clientOf([`slow3.example:${node.port}`], limits).get('a')
  const none = failure(clientOf([`slow4.example:${node.port}`], limits).get('a'))
  for (let ms = 0; ms < 5_000; ms += 250) await vi.advanceTimersByTimeAsync(250)
  answers[0]?.()
  expect((await found)?.text()).toBe('1')
  answer = (done) => done(new Error('no such name'))
  answers[1]?.()
  expect(await none).toMatchObject({ code: 'unreachable', written: 'no' })
  expect(answers.length).toBe(2)
})

// As without names: an endpoint that is off takes a share of the time for reaching a node, and not more time than there
// is.
test('while a name is looked up, the next node is asked as soon as without a lookup', async () => {
  const node = await listening()
  node.set('a', '1')
  const answers: (() => void)[] = []
  type Found = (error: null, addresses: readonly dns.LookupAddress[]) => void
  const slow = (_host: string, _options: unknown, done: Found) =>
    void answers.push(() => done(null, [{ address: '127.0.0.1', family: 4 }]))
  vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  const names = [`slow5.example:${node.port}`, `slow6.example:${node.port}`]
  const found = clientOf(names, { timeoutMs: 20_000, unreachableAfterMs: 500 }).get('a')
  await vi.advanceTimersByTimeAsync(250)
  await nextTurn()
  expect(answers.length).toBe(2)
  answers[1]?.()
  expect((await found)?.text()).toBe('1')
})
