// Whatever fault happens: a write is applied at most once, and its outcome is reported truthfully. Random faults
// of three nodes of one cluster, which forgets outcomes at random moments. Each write has a separate key, so its
// version tells how often it was applied.

import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { inspect } from '../../src/client/client.ts'
import { Client, QuorateError, UnavailableError } from '../../src/client/index.ts'
import { runs } from '../runs.ts'
import { type Fault, problem, RelayedNode } from './relayed-node.ts'
import { connected, WARM_UP_MS } from './with-fakes.ts'

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

const retry_after_ms = 1
const FAULTS = {
  cut: 'cut',
  'cut after it was done': 'cut-after',
  late: { afterMs: 30 },
  'later than anybody waits': { afterMs: 700 },
  hang: 'hang',
  'no leader': problem(503, 'no_leader', 'no leader', { retry_after_ms }),
  overloaded: problem(429, 'overloaded', 'too many', { retry_after_ms: 3_600_000 }),
  unknown: problem(504, 'outcome_unknown', 'lost', { retry_after_ms }),
  'unknown and done': { ...problem(504, 'outcome_unknown', 'lost', { retry_after_ms }), do: true },
  internal: problem(500, 'internal', 'oops'),
  'internal and done': { ...problem(500, 'internal', 'oops'), do: true },
  'a proxy': { status: 502, body: '<html>bad gateway</html>' },
  'a proxy, and done': { status: 502, body: '<html>bad gateway</html>', do: true },
  expired: problem(409, 'idempotency_expired', 'too old'),
} satisfies Record<string, Fault>

type Event =
  | keyof typeof FAULTS
  | 'none'
  | 'outcomes are forgotten'
  | 'somebody else writes'
  | 'another cluster'

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 2, arbitrary: fc.constant('none' as const) },
  { weight: 3, arbitrary: fc.constantFrom(...(Object.keys(FAULTS) as (keyof typeof FAULTS)[])) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...(['outcomes are forgotten', 'somebody else writes', 'another cluster'] as const),
    ),
  },
)

async function startThree(transport: 'auto' | 'http'): Promise<RelayedNode[]> {
  const first = await RelayedNode.start()
  const nodes = [first, await RelayedNode.start({ peer: first }), await RelayedNode.start({ peer: first })]
  open.push(...nodes)
  for (const node of nodes) await node.openPort()
  if (transport === 'auto') for (const node of nodes) node.multiplex().welcome = { txn_operations_max: 128 }
  return nodes
}

/** From now on the events happen to the nodes, in order. */
function misbehave(nodes: readonly RelayedNode[], events: Event[]): void {
  const [first] = nodes
  const next = (node: RelayedNode): Fault | undefined => {
    const what = events.shift() ?? 'none'
    if (what === 'none') return undefined
    if (what === 'somebody else writes') first?.set('other', 'v')
    else if (what === 'outcomes are forgotten') {
      first?.set('other', 'v')
      first?.forgetOutcomes()
    } else if (what === 'another cluster') {
      node.clusterId = node.clusterId === '77' ? '78' : '77'
      for (const line of node.lines?.open ?? []) line.cut()
    } else return FAULTS[what]
    return undefined
  }
  for (const node of nodes) node.fault = () => next(node)
}

const honest = async (transport: 'auto' | 'http') => {
  const nodes = await startThree(transport)
  const [first] = nodes
  if (first === undefined) throw new Error('no node')
  // A call that was aborted may arrive during the next run, so each run has keys of its own.
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 25, size: 'max' }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(
        fc.record({
          isDelete: fc.boolean(),
          isTxn: fc.boolean(),
          abortMs: fc.option(fc.integer({ max: 40, min: 0 }), { freq: 4 }),
        }),
        {
          minLength: 1,
          maxLength: 8,
          size: 'max',
        },
      ),
      fc.boolean(),
      async (events, atOnce, writes, knowsRevision) => {
        // The client of the run before.
        for (const each of open.splice(0, open.length - nodes.length)) await each.close()
        for (const node of nodes) {
          await node.quiet()
          node.reset()
        }
        run++
        const endpoints = nodes.map((node) => node.url)
        const kv = new Client({ endpoints, discover: false, timeoutMs: 500, transport, onWarning: () => {} })
        open.unshift(kv)
        // Without it, the first write knows no revision, so its token goes without one, and no outcome is forgotten.
        if (transport === 'auto') await connected(kv, nodes)
        else if (knowsRevision) await kv.get('k', { timeoutMs: WARM_UP_MS })
        misbehave(nodes, [...events])
        const told = new Map<string, 'done' | 'no' | 'unknown'>()
        const keyOf = (n: number) => `${run}/k${n}`
        let at = 0
        const work = async () => {
          for (let write = writes[at]; write !== undefined; write = writes[at]) {
            const key = keyOf(at++)
            const { isDelete, isTxn, abortMs } = write
            if (isDelete) first.set(key, 'v')
            const signal = abortMs === null ? undefined : AbortSignal.timeout(abortMs)
            const one = isDelete ? { delete: { key } } : { put: { key, value: 'v' } }
            const call = isTxn
              ? kv.txn({ success: [one] }, { signal })
              : isDelete
                ? kv.delete(key, { signal })
                : kv.put(key, 'v', { signal })
            await (call as Promise<unknown>).then(
              () => told.set(key, 'done'),
              (error: unknown) => {
                if (!(error instanceof QuorateError)) throw error
                if (error instanceof UnavailableError) expect(error.written).toBe('no')
                told.set(key, error.written)
              },
            )
          }
        }
        await Promise.all(Array.from({ length: atOnce }, work))
        await expect.poll(() => kv[inspect]()).toEqual({ calls: 0, permits: 0, requests: 0, probes: 0 })
        // Late copies must arrive too.
        await Promise.all(nodes.map((node) => node.quiet()))
        for (const [n, { isDelete }] of writes.entries()) {
          const key = keyOf(n)
          const version = first.rows.get(key)?.version ?? 0
          const times = isDelete ? 1 - version : version
          expect({ key, told: told.get(key), times }).toEqual({
            key,
            told: told.get(key),
            times: told.get(key) === 'done' ? 1 : told.get(key) === 'no' ? 0 : expect.toBeOneOf([0, 1]),
          })
        }
      },
    ),
    { numRuns: runs(40) },
  )
}

test('at most once, and reported truthfully', () => honest('http'))

test('at most once, and reported truthfully, over multiplexed connections', () => honest('auto'))
