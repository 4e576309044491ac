// Batches over HTTP, beside the conformance table (test/server/api): the JSON of their results, and their memory.

import { expect, test } from 'vitest'
import { atRest, COLD, holding, onNodeHttp } from './raw-client.ts'
import { JSON_TYPE, type Served, serve } from './served.ts'

const CHANGES = '/v1/changes'

const post = ({ ask }: Served, body: object) =>
  ask('POST', CHANGES, { headers: JSON_TYPE, body: JSON.stringify(body) })

const PUT = { put: { key: 'a', value: '1' } }

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

test('a batch may come in any pieces, and its connection remains', async () => {
  const served = await serve()
  const client = await onNodeHttp(served)
  const body = JSON.stringify({ changes: [PUT] })
  const head = `POST ${CHANGES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
  await client.send(`${head}Transfer-Encoding: chunked\r\n\r\n`)
  for (const letter of body) await client.send(`1\r\n${letter}\r\n`)
  await client.send('0\r\n\r\n')
  expect(await client.answer()).toContain('"mod_revision":2')
  await client.send(COLD)
  expect(await client.answer()).toContain('200 OK')
})
