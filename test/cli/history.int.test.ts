import { expect, onTestFinished, test } from 'vitest'
import { RelayedNode } from '../client/relayed-node.ts'
import { created, lineFrom, put } from '../client/watch-scene.ts'
import { kv } from './run-kv.ts'

test('history ends within its timeout when the cluster stops while it prints', async () => {
  const node = await RelayedNode.start()
  onTestFinished(() => node.close())
  // The first of two changes, and then nothing more.
  const body = [created(3), put(2, 'k')].map(lineFrom).join('')
  node.faults.push({ status: 200, body, headers: { 'content-type': 'application/x-ndjson' } })
  node.fault = () => 'cut'
  const { code, out, err } = await kv(['history', 'k', '--timeout', '1s', '-o', 'ndjson'], {
    endpoints: node.url,
  })
  expect(JSON.parse(out)).toMatchObject({ revision: 2, type: 'put' })
  expect(err).toContain('no answer within')
  expect(code).toBe(5)
})
