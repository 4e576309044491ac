// The conformance table through every wire.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FakeNode } from '../http/fake-node.ts'
import { type Served, serve, start } from '../http/served.ts'
import { CASES, FAILING_CHANGES, FAILING_READS } from './conformance-table.ts'
import type { Expected, Step } from './steps.ts'
import { WIRES } from './wires.ts'
// Loaded before the first request, so that every request is answered at once.
import '../../../src/server/http/routes.ts'

let current = new FakeNode()
/** Forwards to the node of the current test: a server for each test would cost more than all requests. */
const shared = new Proxy(current, {
  get(_, name) {
    const value = Reflect.get(current, name, current)
    return typeof value === 'function' ? value.bind(current) : value
  },
})

let server: Awaited<ReturnType<typeof start>>
beforeAll(async () => {
  server = await start({ node: shared })
})
afterAll(() => server.close())

/** A server with default limits is shared. */
const servedBy = async (node: FakeNode, limits: object = {}): Promise<Served> => {
  current = node
  return Object.keys(limits).length === 0 ? server : await serve({ node, limits })
}

describe.each(WIRES)('%s', (name, open) => {
  test.each(CASES)('$title', async ({ rows, settings, limits }) => {
    const node = new FakeNode(settings)
    const run = await open(await servedBy(node, limits))
    for (const [step, expected] of rows) {
      if (typeof step === 'function') {
        step(node)
        continue
      }
      const before = node.asked.length
      const result = { ...(await run(step)), calls: node.asked.length - before }
      expect({ step, result }).toEqual({
        step,
        result: expect.objectContaining(onWire(name, step, expected ?? {})),
      })
      await node.scansClosed()
    }
  })

  test.each([
    ['no_leader', 'no', 'no_leader'],
    ['no_quorum', 'no', 'no_quorum'],
    ['not_ready', 'no', 'not_ready'],
    ['overloaded', 'no', 'overloaded'],
    ['too_stale', 'no', 'too_stale'],
    ['revision_behind', 'no', 'revision_behind'],
    ['membership_refused', 'no', 'membership_refused'],
    ['request_too_large', 'no', 'request_too_large'],
    ['storage_full', 'no', 'storage_full'],
    ['no_quorum', 'unknown', 'outcome_unknown'],
    ['outcome_unknown', 'unknown', 'outcome_unknown'],
    ['internal', 'unknown', 'internal'],
  ] as const)(
    'a node that fails with %s (written: %s) is reported as %s',
    async (code, written, expected) => {
      const node = new FakeNode()
      const run = await open(await servedBy(node))
      node.problem = { code, detail: 'it failed', written }
      const problem = { code: expected, detail: 'it failed' }
      for (const step of FAILING_READS)
        expect({ step, ...(await run(step)) }).toMatchObject({ step, ...problem })
      for (const step of FAILING_CHANGES)
        expect({ step, ...(await run(step)) }).toMatchObject({ step, ...problem, written })
    },
  )
})

const isReading = ({ op }: Step): boolean => op === 'get' || op === 'range' || op === 'keep-alive'

/** Problems of reads on a multiplexed connection have no `written`. */
function onWire(name: string, step: Step, { detail, ...expected }: Expected): Expected {
  const { written, ...rest } = expected
  const known = name === 'a multiplexed connection' && isReading(step) ? rest : expected
  return detail === undefined ? known : { ...known, detail: expect.stringContaining(detail) }
}
