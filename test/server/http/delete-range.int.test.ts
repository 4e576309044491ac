// DELETE /v1/kv of a range, beside the conformance table (test/server/api).

import { expect, test } from 'vitest'
import { FakeNode } from './fake-node.ts'
import { type Served, serve } from './served.ts'

const KEYS = ['a', 'aa', 'ab', 'b', 'c']

async function filled(settings: ConstructorParameters<typeof FakeNode>[0] = {}): Promise<Served> {
  const node = new FakeNode(settings)
  for (const key of KEYS) node.put(key, 'v')
  node.put(Uint8Array.of(0xff), 'v')
  return serve({ node })
}

const TOO_MANY =
  'the ranges have more than 2 keys (range_keys_max), or 4194304 bytes of keys (range_bytes_max)'

test('where the keys cannot be counted in time, or at all, it is refused without their number', async () => {
  const served = await filled({ rangeKeysMax: 2 })
  const { node } = served
  const plain = { status: 413, code: 'range_too_large', detail: TOO_MANY }
  const refused = async () => {
    const { json } = await served.ask('DELETE', '/v1/kv?prefix=a')
    expect(json).toMatchObject(plain)
    expect(json).not.toHaveProperty('count')
    expect([node.openScans, served.http.inspect().ranges]).toEqual([0, 0])
  }
  node.corrupt = () => true
  await refused()
  node.corrupt = undefined
  node.unread = new Error('a table could not be opened')
  await refused()
  node.unread = undefined
  node.read = (_, done) => {
    setImmediate(done, { ok: false, problem: { code: 'not_ready', detail: 'the node stops', written: 'no' } })
    return () => {}
  }
  await refused()
})

test('a count that takes too long is given up', async () => {
  const node = new FakeNode({ rangeKeysMax: 2 })
  for (let at = 0; at < 2_000; at++) node.put(`k${at}`, '')
  const served = await serve({ node, limits: { sliceRowsMax: 1 } })
  const { json } = await served.ask('DELETE', '/v1/kv?prefix=k&timeout=1ms')
  expect(json).toMatchObject({ status: 413, code: 'range_too_large' })
  expect(json).not.toHaveProperty('count')
  expect(node.openScans).toBe(0)
})

test('it is one proposal, with the time that is left', async () => {
  const served = await filled()
  await served.ask('DELETE', '/v1/kv?prefix=a&timeout=2s')
  const [asked, ...others] = served.node.asked
  expect(others).toEqual([])
  expect(asked?.request?.command).toMatchObject({ kind: 'delete-range' })
  expect(asked?.timeoutMs).toBeLessThanOrEqual(2_000)
  expect(asked?.timeoutMs).toBeGreaterThan(1_000)
  const text = await served.metrics.text()
  expect(text).toContain('quorate_http_requests_total{operation="delete",status="200"} 1\n')
})
