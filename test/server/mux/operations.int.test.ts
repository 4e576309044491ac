// Multiplexed operations, beside the conformance table (test/server/api): welcome, examples, limits, names in metrics.

import { expect, test } from 'vitest'
import { unpack } from '../../../src/server/mux/unpack.ts'
import { blocksOf } from '../../docs/blocks.ts'
import { atRest } from '../http/raw-client.ts'
import { serve } from '../http/served.ts'
import { DELETE, GET, MuxClient, PUT, RANGE } from './mux-client.ts'

const bytes = (text: string) => Buffer.from(text)

const PAGE = blocksOf('docs/reference/protocol.md')

test('the welcome of the page has the fields and the limits of a welcome', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  const [, , welcome] = client.notices[0] as [number, string, Record<string, unknown>]
  const shown = PAGE.find(({ text }) => text.includes('"welcome"'))?.text ?? ''
  const fields = [...shown.matchAll(/(\w+): /g)].map(([, name]) => name)
  expect(fields).toEqual(Object.keys(welcome))
  for (const [name, value] of Object.entries(welcome))
    if (name.endsWith('_max') || name === 'version') expect(shown).toContain(`${name}: ${value}`)
})

test('the welcome says what a client needs to know', async () => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  expect(client.notices).toEqual([
    [
      0,
      'welcome',
      {
        version: 1,
        ...{ cluster: '4242', node: 'n1', server: '1.2.3', term: 3, leader: 'n2', revision: 1 },
        ...{ operations_max: 4096, bytes_max: 16 * 2 ** 20, message_bytes_max: 4 * 2 ** 20 },
        ...{ changes_max: 1000, watches_max: 10_000, txn_operations_max: 128, keep_alive_max: 1000 },
      },
    ],
  ])
})

test('the examples of docs/reference/protocol.md, byte by byte', async () => {
  const [asked, answered, conditional] = PAGE.slice(-3).map(({ text }) =>
    Buffer.from(
      text.replaceAll(/ {2,}\S*\[.*$| {2,}\d items| {3,}(nil|"lin).*$/gm, '').replaceAll(/\s/g, ''),
      'hex',
    ),
  )
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  const raw = new Promise<Buffer>((resolve) => {
    client.ws.once('message', (data: Buffer) => resolve(data))
  })
  expect(asked).toHaveLength(20)
  client.ws.send(asked ?? '')
  expect((await raw).toString('hex')).toBe(answered?.toString('hex'))
  client.ws.send(conditional ?? '')
  expect(await client.answer(3)).toEqual([3, 0, 3, 2, 3, 2, false])
  expect(unpack(conditional ?? Buffer.alloc(0))).toEqual([
    [3, PUT, 5000, bytes('a'), bytes('2'), ['5f0c'], new Map([['if_match', [2]]])],
  ])
})

test.each([
  [null, 4980],
  [1000, 980],
  [100, 95],
  [0.5, 1],
  [60_000, 59_980],
])('with timeout_ms %s the node has %s ms', async (given, left) => {
  const { port, node } = await serve()
  const client = await new MuxClient(port).open()
  await client.ask(1, PUT, given, 'a', '1')
  await client.ask(2, DELETE, given, 'a')
  await client.ask(3, GET, given, 'a')
  await client.ask(4, RANGE, given)
  expect(node.asked).toHaveLength(4)
  // The time since the arrival of the message is over. At least a millisecond is left.
  for (const { timeoutMs } of node.asked) {
    expect(timeoutMs).toBeLessThanOrEqual(Math.max(1, left))
    expect(timeoutMs).toBeGreaterThanOrEqual(Math.max(1, left - 500))
  }
})

test('operations are counted under their names, with the statuses of HTTP', async () => {
  const served = await serve()
  const client = await new MuxClient(served.port).open()
  await client.ask(1, PUT, null, 'a', '1')
  await client.ask(2, PUT, null, 'a', '1', null, { if_none_match: '*' })
  await client.ask(3, GET, null, 'z')
  await client.ask(4, RANGE, null, { limit: 0 })
  await client.ask(5, DELETE, null, 'a')
  await atRest(served, 1)
  const counted = (await served.metrics.text()).matchAll(/^quorate_http_requests_total\{(.*)\} (\d+)$/gm)
  const counts = [...counted].map(
    ([, labels = '', count]) => `${labels.match(/"[^"]*"/g)?.join(' ')} ${count}`,
  )
  expect(counts.filter((each) => !each.includes('other'))).toEqual([
    ...['"put" "200" 1', '"put" "412" 1', '"get" "404" 1', '"delete" "200" 1', '"range" "400" 1'],
  ])
})
