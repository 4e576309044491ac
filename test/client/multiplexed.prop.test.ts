// Whatever the other end of a multiplexed connection does: a write is applied at most once, every caller gets the
// answer to its own operation or an error that is true, and in the end nothing is under way. Two nodes of one cluster
// hold back answers, send them in any order, send what no node sends, cut, and stop; each write has a key of its own.

import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Client, QuorateError } from '../../src/client/index.ts'
import { runs } from '../runs.ts'
import type { Item, Line } from './fake-lines.ts'
import { FakeNode, problem } from './fake-node.ts'
import { connected } from './with-fakes.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

/** What happens to an operation that arrives. Without any left, each is served, and all answers held back leave. */
const EVENTS = [
  'serve',
  'hold the answer back',
  'send the answers held back, the last one first',
  'never answer',
  'cut before it is done',
  'cut after it was done',
  'answer twice',
  'answer an id that is not in use',
  'send garbage',
  'begin to close',
  'refuse: no leader',
  'refuse: outcome unknown, but done',
] as const
type Event = (typeof EVENTS)[number]

interface Call {
  readonly kind: 'put' | 'get'
  readonly abortMs: number | null
  readonly bytes: number
}

const retry_after_ms = 1

/** The events of both nodes, in the order in which operations arrive. */
function misbehave(nodes: readonly FakeNode[], script: Event[]): () => void {
  const held: (() => void)[] = []
  const release = () => {
    for (const send of held.splice(0).reverse()) send()
  }
  for (const node of nodes) {
    const serve = (item: Item, line: Line) => node.lines?.serve(item, line)
    const onItem = (item: Item, line: Line): boolean => {
      const event = script.shift()
      const silent = { ...line, send: () => {}, cut: () => {}, reply: () => {} } as unknown as Line
      if (item[1] === 0) return true
      switch (event) {
        case undefined:
          release()
          return false
        case 'serve':
          return false
        case 'hold the answer back':
          held.push(() => serve(item, line))
          return true
        case 'send the answers held back, the last one first':
          release()
          return false
        case 'never answer':
          return true
        case 'cut after it was done':
          serve(item, silent)
          line.cut()
          return true
        case 'cut before it is done':
          line.cut()
          return true
        case 'answer twice':
          serve(item, line)
          line.send([item[0], 0, 1, 1, 1, 1, false])
          return true
        case 'answer an id that is not in use':
          line.send([Number(item[0]) + 999, 0, 1, 1, 1, 1, false])
          return true
        case 'send garbage':
          line.ws.send(Buffer.from([0xc1]))
          return true
        case 'begin to close':
          line.send([0, 'closing'])
          return false
        case 'refuse: no leader':
          node.faults.push(problem(503, 'no_leader', 'an election', { retry_after_ms }))
          return false
        case 'refuse: outcome unknown, but done':
          node.faults.push({ ...problem(504, 'outcome_unknown', 'lost', { retry_after_ms }), do: true })
          return false
      }
    }
    if (node.lines !== undefined) node.lines.onItem = onItem
  }
  return release
}

const call: fc.Arbitrary<Call> = fc.record({
  kind: fc.constantFrom('put', 'put', 'get'),
  abortMs: fc.option(fc.integer({ min: 0, max: 30 }), { freq: 5 }),
  bytes: fc.constantFrom(1, 10, 600),
})

test('every answer is that of its operation, at most one write each, and the truth about it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...EVENTS), { maxLength: 30, size: 'max' }),
      fc.array(call, { minLength: 1, maxLength: 30, size: 'max' }),
      fc.integer({ min: 1, max: 8 }),
      async (script, calls, operations_max) => {
        const first = await FakeNode.start()
        const nodes = [first, await FakeNode.start(0, first)]
        open.push(...nodes)
        for (const node of nodes) node.multiplex().welcome = { operations_max, bytes_max: 1_000 }
        const endpoints = nodes.map((node) => node.url)
        const kv = new Client({ endpoints, discover: false, timeoutMs: 400 })
        open.unshift(kv)
        await connected(kv, nodes)
        const events = [...script]
        const release = misbehave(nodes, events)
        const told = new Map<string, number | 'no' | 'unknown'>()
        const perform = async ({ kind, abortMs, bytes }: Call, n: number) => {
          const key = `k${n}`
          const signal = abortMs === null ? undefined : AbortSignal.timeout(abortMs)
          try {
            if (kind === 'put') {
              told.set(key, (await kv.put(key, 'v'.repeat(bytes), { signal })).modRevision)
            } else {
              first.set(key, key.repeat(bytes))
              expect((await kv.get(key, { signal }))?.text()).toBe(key.repeat(bytes))
            }
          } catch (error) {
            if (!(error instanceof QuorateError)) throw error
            if (kind === 'put') told.set(key, error.written)
            else expect(error.written).toBe('no')
          }
        }
        await Promise.all(calls.map(perform))
        release()
        await expect
          .poll(() => kv[inspect]())
          .toEqual({ calls: 0, turns: 0, requests: 0, questions: 0, probes: 0 })
        for (const [key, what] of told) {
          const row = first.rows.get(key)
          const applied = row === undefined ? [] : [row.version, row.mod]
          if (typeof what === 'number') expect([key, applied]).toEqual([key, [1, what]])
          else if (what === 'no') expect([key, applied]).toEqual([key, []])
          else expect([key, row?.version ?? 1]).toEqual([key, 1])
        }
        // Whatever has happened, the client goes on.
        events.length = 0
        await kv.put('end', 'v', { timeoutMs: 5_000 })
        for (const each of open.splice(0)) await each.close()
      },
    ),
    { numRuns: runs(60) },
  )
})
