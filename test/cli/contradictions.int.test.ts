// Flags that contradict each other, and what can be no name or address, are mistakes of the command line: exit code 2,
// and nothing is sent.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { RelayedNode } from '../client/relayed-node.ts'
import { kv } from './run-kv.ts'

let node: RelayedNode

beforeAll(async () => {
  node = await RelayedNode.start()
  node.set('k', 'v')
})

afterAll(() => node.close())

const replica = ['--replica-id', '1', '--peer', '127.0.0.1:1']

test.each<[string[], ...string[]]>([
  [['put', 'k', 'v', '--if-absent', '--if-revision', '5'], '--if-revision', '--if-absent'],
  [['put', 'k', '-', '--if-revision', '0', '--if-absent'], '--if-revision', '--if-absent'],
  [['ls', '--count', '--limit', '5'], '--count', '--limit'],
  [['get', 'k', '--max-staleness', '1s'], '--max-staleness', '--consistency stale'],
  [['ls', '--max-staleness', '1s', '--consistency', 'lease'], '--max-staleness', '--consistency stale'],
  [['get', 'k', '--max-staleness', '25h', '--consistency', 'stale'], '24h'],
  [['get', 'k', '--max-staleness', '0ms', '--consistency', 'stale'], '24h'],
  [['member', 'add', 'n4', ...replica, '--url', 'ftp://127.0.0.1:1'], 'only http://'],
  [['member', 'add', 'n4', ...replica, '--url', ''], '--url', 'empty'],
  [['member', 'add', 'n4', ...replica, '--url', '7304'], '7304 is no address', '127.0.0.1:7304'],
  [['get', 'a', '--endpoints', 'http://7301:7301'], '7301 is no address', '127.0.0.1:7301'],
  [['get', 'a', '--endpoints', '127.1:7301'], 'write the address in full, as 127.0.0.1'],
  [['get', 'a', '--endpoints', '0x1c85'], 'write the address in full, as 0.0.28.133'],
  [['get', 'a', '--endpoints', '7301:'], '7301 is no address', '127.0.0.1:7301'],
  [['member', 'add', '', ...replica, '--url', 'http://127.0.0.1:1'], 'name', 'empty'],
  [['member', 'replace', 'n1', ...replica, '--url', 'n1:1', '--name', ''], '--name', 'empty'],
  [['member', 'replace', '', ...replica, '--url', 'n1:1'], 'name', 'empty'],
  [['member', 'remove', ''], 'name', 'empty'],
  [['leader', 'transfer', ''], 'node', 'empty'],
])('kv %j', async (args, ...says) => {
  const { code, err } = await kv(args, { endpoints: node.url })
  expect(code).toBe(2)
  for (const each of says) expect(err).toContain(each)
  expect(node.seen).toEqual([])
})

test('a bound in the environment is for stale reads, and hinders no others', async () => {
  const env = { KV_MAX_STALENESS: '1s' }
  expect(await kv(['get', 'k'], { endpoints: node.url, env })).toMatchObject({ code: 0, out: 'v' })
  expect(await kv(['get', 'k', '--consistency', 'stale'], { endpoints: node.url, env })).toMatchObject({
    code: 0,
  })
  expect(node.asked.map((seen) => /max_staleness=([^&]*)/.exec(seen.target)?.[1])).toEqual([
    undefined,
    '1000ms',
  ])
})

test('a timeout of any length', async () => {
  for (const timeout of ['597h', '100000h', `${'9'.repeat(310)}h`]) {
    expect(await kv(['put', 'k', 'v', '--timeout', timeout], { endpoints: node.url })).toMatchObject({
      code: 0,
    })
    expect(await kv(['export', '--timeout', timeout], { endpoints: node.url })).toMatchObject({
      code: 0,
      err: '',
    })
  }
})
