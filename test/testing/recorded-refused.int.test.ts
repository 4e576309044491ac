// What a recorded client refuses is not done.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { recorded } from '../../src/testing/index.ts'

let cluster: EmbeddedCluster
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
})
afterAll(() => cluster.close())

const NO_TEXT = Uint8Array.of(0xff)

test('a put in the body of transact that is refused with a TypeError is committed all the same, and is in no history', async () => {
  const kv = recorded(cluster.client())
  await kv.transact((tx) => {
    expect(() => tx.put(NO_TEXT, '1')).toThrow(TypeError)
    tx.put('a', '2')
  })
  expect(kv.history.toString()).not.toContain('base64')
  expect(await cluster.client().get(NO_TEXT)).toBeUndefined()
})

test('a delete in the body of transact that is refused with a TypeError is committed all the same', async () => {
  const plain = cluster.client()
  await plain.put(NO_TEXT, '1')
  await recorded(cluster.client()).transact((tx) => {
    expect(() => tx.delete(NO_TEXT)).toThrow(TypeError)
    tx.put('b', '2')
  })
  expect((await plain.get(NO_TEXT))?.text()).toBe('1')
})

test('a recorded list reads another range than its client when the bytes of its bound change before its first record', async () => {
  const kv = recorded(cluster.client())
  for (const key of ['c1', 'd1']) await kv.put(key, '1')
  const keysIn = async (client: typeof plain) => {
    const prefix = Buffer.from('c')
    const records = client.list({ prefix })
    prefix.write('d')
    const keys: string[] = []
    for await (const { key } of records) keys.push(key)
    return keys
  }
  const plain = cluster.client()
  expect(await keysIn(plain)).toEqual(['c1'])
  expect(await keysIn(kv)).toEqual(['c1'])
})
