// Stored bytes never control the terminal of a user.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Client, type EmbeddedCluster, startCluster } from '../../src/index.ts'
import { queue } from '../../src/recipes/index.ts'
import { kv as kvCommand } from './run-kv.ts'

const EVIL = '\x1b]0;owned\x07\x1b[2J'
let cluster: EmbeddedCluster
let kv: Client
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  kv = cluster.client()
})
afterAll(() => cluster.close())

const quorate = (...args: string[]) => kvCommand(args, { endpoints: cluster.endpoints.join(',') })

// `-o table` is what a command prints on a terminal.
const controls = (text: string) => text.match(/(?![\n\t])\p{Cc}/gu) ?? []

test('control: get', async () => {
  await kv.put('evil', EVIL)
  expect(controls((await quorate('get', 'evil', '-o', 'table')).out)).toEqual([])
})

test('queue peek', async () => {
  await queue(kv, 'peeked').push(EVIL)
  expect(controls((await quorate('queue', 'peek', 'peeked', '-o', 'table')).out)).toEqual([])
})

test('queue pop', async () => {
  await queue(kv, 'popped').push(EVIL)
  expect(controls((await quorate('queue', 'pop', 'popped', '-o', 'table')).out)).toEqual([])
})

test('lease show --keys', async () => {
  const { id } = await kv.grantLease({ ttlMs: 60_000 })
  await kv.put(`leased/${EVIL}`, '', { lease: id })
  expect(controls((await quorate('lease', 'show', id, '--keys', '-o', 'table')).out)).toEqual([])
})

test('service list: the warning about a key that no registry has written', async () => {
  await kv.put(`service/web/${EVIL}`, 'x')
  expect(controls((await quorate('service', 'list', 'web')).err)).toEqual([])
})

test('queue pop: the error about an item without a value', async () => {
  await kv.put(`queue/valueless/ready/${EVIL}`, '{"attempts":0}')
  expect(controls((await quorate('queue', 'pop', 'valueless')).err)).toEqual([])
})

test('queue pop: a key that no queue has written is an error, and no stack trace', async () => {
  await kv.put('queue/strange/ready/x', 'x')
  const { err } = await quorate('queue', 'pop', 'strange')
  expect(err).not.toMatch(/\n {4}at /)
  expect(err).toMatch(/^error: /)
})
