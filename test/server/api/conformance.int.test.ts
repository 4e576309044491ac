// The conformance table through every wire.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FakeNode } from '../http/fake-node.ts'
import { type Served, serve, start } from '../http/served.ts'
import { CASES, FAILING_CHANGES, FAILING_READS } from './conformance-table.ts'
import { OTHER_CASES, UNSAID } from './etcd-steps.ts'
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

describe.each(WIRES)('$name', ({ open, told, has }) => {
  test.each(CASES.filter(has))('$title', async ({ rows, settings, limits }) => {
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
        result: expect.objectContaining(told(step, expected ?? {})),
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
        expect({ step, ...(await run(step)) }).toMatchObject({ step, ...told(step, problem) })
      for (const step of FAILING_CHANGES)
        expect({ step, ...(await run(step)) }).toMatchObject({ step, ...told(step, { ...problem, written }) })
    },
  )
})

test('each reason for which a step is not made through etcd is one of a step', () => {
  const steps = CASES.flatMap(({ rows }) => rows.map(([step]) => step)).filter(
    (step) => typeof step !== 'function',
  )
  const unused = Object.entries(UNSAID).filter(([, holds]) => !steps.some(holds))
  expect(unused.map(([reason]) => reason)).toEqual([])
  const titles = CASES.map(({ title }) => title)
  expect(Object.keys(OTHER_CASES).filter((title) => !titles.includes(title))).toEqual([])
})
