// Whatever the other end of a multiplexed connection does: a write is applied at most once, every caller gets the
// answer to its own operation or an error that is true, and in the end nothing is in flight. Two nodes of one cluster
// hold back answers, send them in any order, send what no node sends, cut, and stop. Each write has a key of its own.
// Writes that begin in one turn go together where there is a session.

import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Client, QuorateError } from '../../src/client/index.ts'
import { runs } from '../runs.ts'
import { CHANGES, haveSession } from './one-node.ts'
import type { Item, Line } from './relayed-lines.ts'
import { problem, RelayedNode } from './relayed-node.ts'
import { connected } from './with-fakes.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

/** Behaviour for an operation that arrives. Without any left, each is served, and all answers held back leave. */
const EVENTS = [
  'serve',
  'hold the answer back',
  'send the answers held back, the last one first',
  'never answer',
  'cut before it is done',
  'cut after it was done',
  'answer twice',
  'answer with an outcome too few',
  'answer an id that is not in use',
  'send garbage',
  'begin to close',
  'refuse: no leader',
  'refuse: outcome unknown, but done',
  'refuse: no room',
  'refuse: outcome unknown, but done; and then: no room',
  'forget the session',
] as const
type Event = (typeof EVENTS)[number]

interface Call {
  readonly kind: 'put' | 'get' | 'delete' | 'put if absent' | 'put if there'
  /** How many turns of the event loop pass before it begins. */
  readonly turns: number
  readonly abortMs: number | null
  readonly bytes: number
}

/** Reported outcome of a write: its revision; that it has removed the key; `written` of an error. */
type Told = number | 'gone' | 'no' | 'unknown'

const retry_after_ms = 1

/** The events of both nodes, in the order in which operations arrive. */
function misbehave(nodes: readonly RelayedNode[], script: Event[]): () => void {
  const held: (() => void)[] = []
  const release = () => {
    for (const send of held.splice(0).reverse()) send()
  }
  for (const node of nodes) {
    const serve = (item: Item, line: Line, answer?: (given: Item) => void) =>
      node.lines?.serve(item, line, answer)
    const onItem = (item: Item, line: Line): boolean => {
      const event = script.shift()
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
          serve(item, line, () => line.cut())
          return true
        case 'cut before it is done':
          line.cut()
          return true
        case 'answer twice':
          serve(item, line, (given) => line.send(given, [item[0], 0, 1, 1, 1, 1, false]))
          return true
        case 'answer with an outcome too few':
          serve(item, line, (given) => line.send(item[1] === CHANGES ? fewer(given) : given))
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
        case 'refuse: no room':
          node.faults.push(problem(507, 'storage_full', 'no room'))
          return false
        case 'refuse: outcome unknown, but done; and then: no room':
          node.faults.push({ ...problem(504, 'outcome_unknown', 'lost', { retry_after_ms }), do: true })
          for (const each of nodes) each.faults.push(problem(507, 'storage_full', 'no room'))
          return false
        case 'forget the session':
          node.forgetSessions()
          return false
      }
    }
    if (node.lines !== undefined) node.lines.onItem = onItem
  }
  return release
}

/** The answer to a batch without its last outcome. */
const fewer = ([id, kind, revision, results, ...rest]: Item): Item => [
  ...[id, kind, revision],
  Array.isArray(results) ? results.slice(1) : results,
  ...rest,
]

const call: fc.Arbitrary<Call> = fc.record({
  kind: fc.constantFrom('put', 'put', 'get', 'delete', 'put if absent', 'put if there'),
  turns: fc.constantFrom(0, 0, 0, 0, 1, 5),
  abortMs: fc.option(fc.constantFrom(0, 1, 10, 30), { freq: 5 }),
  bytes: fc.constantFrom(1, 1, 10, 600),
})

test('every answer is that of its operation, at most one write each, and the truth about it', async () => {
  const first = await RelayedNode.start()
  const nodes = [first, await RelayedNode.start({ peer: first })]
  open.push(...nodes)
  const all = nodes.map((node) => node.multiplex())
  // A call that was aborted may arrive during the next run, so each run has keys of its own.
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...EVENTS), { maxLength: 30, size: 'max' }),
      fc.array(call, { minLength: 1, maxLength: 30, size: 'max' }),
      fc.record({
        operations_max: fc.integer({ min: 1, max: 8 }),
        changes_max: fc.constantFrom(undefined, 2, 1_000, 1_000, 1_000),
        slots: fc.constantFrom(0, 1, 3, 1_000, 1_000, 1_000),
      }),
      async (script, calls, { operations_max, changes_max, slots }) => {
        // The client of the run before.
        for (const each of open.splice(0, open.length - nodes.length)) await each.close()
        for (const node of nodes) {
          await node.quiet()
          node.reset()
          node.sessions = slots > 0 ? { ageMs: 900_000, slots } : undefined
        }
        run++
        for (const lines of all) lines.welcome = { operations_max, bytes_max: 1_000, changes_max }
        const endpoints = nodes.map((node) => node.url)
        const kv = new Client({ endpoints, discover: false, timeoutMs: 400 })
        open.unshift(kv)
        await connected(kv, nodes)
        if (slots > 0) await haveSession(kv, all)
        const events = [...script]
        const release = misbehave(nodes, events)
        const told = new Map<string, { readonly before: number; readonly what: Told }>()
        // Operations that are aborted after the same time share a signal.
        const signals = new Map<number, AbortSignal>()
        const perform = async ({ kind, turns, abortMs, bytes }: Call, n: number) => {
          for (let turn = 0; turn < turns; turn++) await nextTurn()
          const key = `${run}/k${n}`
          const isThere = kind === 'get' || kind === 'delete' || kind === 'put if there'
          if (isThere) first.set(key, key.repeat(bytes))
          const before = isThere ? 1 : 0
          if (abortMs !== null && !signals.has(abortMs)) signals.set(abortMs, AbortSignal.timeout(abortMs))
          const signal = signals.get(abortMs ?? -1)
          try {
            if (kind === 'get') {
              expect((await kv.get(key, { signal }))?.text()).toBe(key.repeat(bytes))
            } else if (kind === 'delete') {
              told.set(key, {
                before,
                what: (await kv.delete(key, { signal })).deleted === 1 ? 'gone' : 'no',
              })
            } else {
              const condition = isThere ? { ifRevision: Number(first.rows.get(key)?.mod) } : {}
              const options = { signal, ifAbsent: kind === 'put if absent', ...condition }
              const { modRevision } = await kv.put(key, 'v'.repeat(bytes), options)
              told.set(key, { before, what: modRevision })
            }
          } catch (error) {
            if (!(error instanceof QuorateError)) throw error
            if (kind !== 'get') told.set(key, { before, what: error.written })
            else expect(error.written).toBe('no')
          }
        }
        await Promise.all(calls.map(perform))
        release()
        await expect.poll(() => kv[inspect]()).toEqual({ calls: 0, permits: 0, requests: 0, probes: 0 })
        events.length = 0
        for (const { faults } of nodes) faults.length = 0
        // An operation that was aborted may have arrived since, and its connection may be cut: a write for each node,
        // so that the client has noticed.
        for (const n of nodes.keys())
          await perform({ kind: 'put', turns: 0, abortMs: null, bytes: 1 }, calls.length + n)
        for (const [key, { before, what }] of told) {
          const { version = 0, mod = 0 } = first.rows.get(key) ?? {}
          if (typeof what === 'number') expect([key, version, mod]).toEqual([key, before + 1, what])
          else if (what === 'gone') expect([key, version]).toEqual([key, 0])
          else if (what === 'no') expect([key, version]).toEqual([key, before])
          else expect([key, [0, before, before + 1].includes(version)]).toEqual([key, true])
        }
        // Whatever has happened, the client still works.
        await kv.put('end', 'v', { timeoutMs: 5_000 })
      },
    ),
    { numRuns: runs(60) },
  )
})
