// Batches over HTTP, beside the conformance table (test/server/api): their memory.

import { expect, test } from 'vitest'
import { atRest, holding } from './raw-client.ts'
import { JSON_TYPE, type Served, serve } from './served.ts'

const CHANGES = '/v1/changes'

const post = ({ ask }: Served, body: object) =>
  ask('POST', CHANGES, { headers: JSON_TYPE, body: JSON.stringify(body) })

test('room for the results is reserved before the changes are made, and released', async () => {
  const served = await serve({ limits: { answersBytesMax: 20_000 } })
  const { node, http } = served
  const { release } = holding(node)
  const changes = [{ delete: { key: 'k'.repeat(4096), if_match: '*' } }]
  const first = post(served, { changes })
  const { value: letFirst } = await release.next()
  expect(http.inspect().answerBytes).toBeGreaterThan(4096)
  expect((await post(served, { changes })).json.code).toBe('overloaded')
  expect(node.asked).toHaveLength(1)
  letFirst()
  expect((await first).json.results).toMatchObject([{ problem: { code: 'precondition_failed' } }])
  await atRest(served, 2)
  node.propose = () => {
    throw new Error('broken')
  }
  expect((await post(served, { changes })).json.code).toBe('internal')
  expect(http.inspect().answerBytes).toBe(0)
})
