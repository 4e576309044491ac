// The conformance table through every wire, and through the API without one.

import { describe, expect, test } from 'vitest'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { CASES, type Expected, FAILING, type Step } from './conformance-table.ts'
import { WIRES } from './wires.ts'
// Loaded before the first request, so that every request is answered at once.
import '../../../src/server/http/routes.ts'

describe.each(WIRES)('%s', (name, open) => {
  test.each(CASES.map(([title, ...steps]) => ({ title, steps })))('$title', async ({ steps }) => {
    const run = await open(await serve())
    for (const [step, expected] of steps) {
      const result = await run(step)
      expect({ step, result }).toEqual({
        step,
        result: expect.objectContaining(onWire(name, step, expected)),
      })
    }
  })

  test.each([
    ['no_leader', 'no', 'no_leader'],
    ['no_quorum', 'no', 'no_quorum'],
    ['not_ready', 'no', 'not_ready'],
    ['overloaded', 'no', 'overloaded'],
    ['too_stale', 'no', 'too_stale'],
    ['revision_behind', 'no', 'revision_behind'],
    ['request_too_large', 'no', 'request_too_large'],
    ['storage_full', 'no', 'storage_full'],
    ['no_quorum', 'unknown', 'outcome_unknown'],
    ['outcome_unknown', 'unknown', 'outcome_unknown'],
    ['internal', 'unknown', 'internal'],
  ] as const)(
    'a node that fails with %s (written: %s) is reported as %s',
    async (code, written, expected) => {
      const node = new FakeNode()
      const run = await open(await serve({ node }))
      node.problem = { code, detail: 'it failed', written }
      for (const step of FAILING)
        expect({ step, ...(await run(step)) }).toMatchObject({ step, code: expected })
    },
  )
})

/** A multiplexed connection has no history for transactions, and reads carry no `written`. */
function onWire(name: string, step: Step, expected: Expected): Expected {
  const isRead = step.op === 'get' || step.op === 'range' || step.op === 'keep-alive'
  const { written, ...rest } = expected
  return name === 'a multiplexed connection' && isRead ? rest : expected
}
