// kv queue and kv service, on a real node.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { queue, registry } from '../../src/recipes/index.ts'
import { KV, kv as run } from './run-kv.ts'

let cluster: EmbeddedCluster
let client: Client
let url: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
  url = cluster.endpoints[0] ?? ''
})
afterAll(() => cluster.close())

const kv = (args: string, more: Parameters<typeof run>[1] = {}) =>
  run(args.split(' '), { endpoints: url, ...more })

test('items go through a queue from one command to another', async () => {
  const pushed = await kv('queue push mail first')
  expect(pushed).toMatchObject({ code: 0, err: '' })
  expect(await kv('queue push mail - --priority 5', { stdin: 'urgent' })).toMatchObject({ code: 0 })
  expect(await kv('queue len mail')).toMatchObject({ code: 0, out: '2\t0\t0\n' })
  expect(await kv('queue len mail -o table')).toMatchObject({ out: '2 ready, 0 held or delayed, 0 dead\n' })
  expect(await kv('queue peek mail')).toMatchObject({ code: 0, out: 'urgent' })
  expect(await kv('queue pop mail')).toMatchObject({ code: 0, out: 'urgent', err: '' })
  expect(JSON.parse((await kv('queue pop mail -o json')).out)).toEqual({
    id: pushed.out.trim(),
    value: 'first',
    attempts: 1,
    priority: 0,
  })
  expect(await kv('queue pop mail')).toMatchObject({ code: 3, out: '' })
  expect((await kv('queue peek mail')).err).toContain('no item of the queue mail can be taken')
  expect(await queue(client, 'mail').len()).toEqual({ ready: 0, held: 0, dead: 0 })
})

test('a pop waits for an item', async () => {
  const waiting = kv('queue pop later --wait 30s')
  await queue(client, 'later').push('came')
  expect(await waiting).toMatchObject({ code: 0, out: 'came' })
  expect(await kv('queue pop later --wait 50ms')).toMatchObject({ code: 3 })
})

test('an instance is registered until Ctrl-C, and seen by list and watch', async () => {
  const child = spawn(
    process.execPath,
    [KV, 'service', 'register', 'api', 'http://a:1', '--id', 'a', '--weight', '2'],
    {
      env: { ...process.env, KV_ENDPOINTS: url },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  const lines = createInterface({ input: child.stdout })
  expect(await once(lines, 'line')).toEqual(['a'])
  expect(await kv('service list api')).toMatchObject({ code: 0, out: 'a\thttp://a:1\t2\t{}\n' })
  expect(JSON.parse((await kv('service list api -o json')).out)).toEqual([
    { id: 'a', url: 'http://a:1', weight: 2, meta: {} },
  ])
  const watching = spawn(process.execPath, [KV, 'service', 'watch', 'api', '-o', 'ndjson'], {
    env: { ...process.env, KV_ENDPOINTS: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const seen = createInterface({ input: watching.stdout })[Symbol.asyncIterator]()
  expect(JSON.parse(String((await seen.next()).value)).instances).toHaveLength(1)
  child.kill('SIGINT')
  expect(await once(child, 'exit')).toEqual([130, null])
  expect(JSON.parse(String((await seen.next()).value)).instances).toEqual([])
  watching.kill('SIGINT')
  expect(await once(watching, 'exit')).toEqual([130, null])
  expect(await registry(client, 'api').list()).toEqual([])
})

test.each([
  ['queue push mail', 'a value is missing'],
  ['queue push mail x --priority 1000', 'from 0 to 999'],
  ['queue push mail x --delay 10ms', 'from 1s to 87600h'],
  ['queue push mail x --value y', 'given twice'],
  ['service register api u --meta [1]', '--meta is a JSON object'],
  ['service register api u --weight -1', 'number from 0 on'],
])('%s is refused', async (args, message) => {
  const { code, err } = await kv(args)
  expect(err).toContain(message)
  expect(code).toBe(2)
})
