// Leases on a multiplexed connection: of puts, alone and in batches, and keep-alives. The bounds are those of HTTP.

import { expect, test } from 'vitest'
import { asRevision } from '../../../src/kv/index.ts'
import type { LeaseId } from '../../../src/kv/types.ts'
import type { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { CHANGES, MuxClient, PUT } from './mux-client.ts'

const KEEP_ALIVE = 10

/** The times to live of all leases, in the order of their ids. */
function ttlsOf(node: FakeNode): Promise<number[]> {
  const scan = node.listLeases(undefined)
  return new Promise((resolve, reject) =>
    scan.next({ rowsMax: 100, bytesMax: 1e6 }, (error, rows) => {
      scan.close()
      if (error === undefined) resolve(rows.map(({ grantedTtlMs }) => grantedTtlMs))
      else reject(error)
    }),
  )
}

const grant = (node: FakeNode, id: string): void => {
  node.apply({ kind: 'grant', id: id as LeaseId, ttlMs: 30_000 })
}

test.each([
  ['below what an election takes is raised', 1000, 2000],
  ['with a fraction is rounded up', 2000.25, 2001],
  ['of ten years is taken as it is', 315_360_000_000, 315_360_000_000],
])('a time to live %s', async (_, ttl_ms, kept) => {
  const { port, node } = await serve()
  const client = await new MuxClient(port).open()
  expect(await client.ask(1, PUT, null, 'a', '1', null, { ttl_ms })).toEqual([1, 0, 2, 2, 2, 1, false])
  const changes = [[PUT, Buffer.from('b'), Buffer.from('2'), { ttl_ms }]]
  expect((await client.ask(2, CHANGES, null, changes)).slice(0, 4)).toEqual([2, 0, 3, [[3, 3, 1]]])
  expect(await ttlsOf(node)).toEqual([kept, kept])
})

test('a put attaches its key to a lease, and one without a lease detaches it', async () => {
  const { port, node } = await serve()
  grant(node, '7')
  const client = await new MuxClient(port).open()
  const keys = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const scan = node.keysOfLease('7' as LeaseId)
      scan.next({ rowsMax: 10, bytesMax: 1000 }, (error, rows) => {
        scan.close()
        if (error === undefined) resolve(rows.length)
        else reject(error)
      })
    })
  await client.ask(1, PUT, null, 'a', '1', null, { lease: '7' })
  expect(await keys()).toBe(1)
  await client.ask(2, PUT, null, 'a', '2')
  expect(await keys()).toBe(0)
})

test.each([
  [
    'a lease and a time to live',
    { lease: '7', ttl_ms: 30_000 },
    'bad_request',
    'lease cannot be combined with ttl_ms',
  ],
  [
    'a time to live below a second',
    { ttl_ms: 999 },
    'bad_request',
    'ttl_ms must be a number from 1000 to 315360000000',
  ],
  ['one above ten years', { ttl_ms: 315_360_000_001 }, 'bad_request', 'ttl_ms must be a number from 1000'],
  ['one that is a text', { ttl_ms: '30s' }, 'bad_request', 'ttl_ms must be a number'],
  [
    'an id of more than 64 bits',
    { lease: '18446744073709551616' },
    'bad_request',
    'lease must be the id of a lease',
  ],
  ['an id that is a number', { lease: 7 }, 'bad_request', 'lease must be a string'],
  ['a lease that is not there', { lease: '8' }, 'lease_not_found', 'there is no lease 8'],
])('a put with %s is refused', async (_, options, code, detail) => {
  const { port, node } = await serve()
  grant(node, '7')
  const client = await new MuxClient(port).open()
  const answer = await client.ask(1, PUT, null, 'a', '1', null, options)
  expect(answer[1]).toBe(1)
  expect(answer[2]).toMatchObject({ code, detail: expect.stringContaining(detail) })
  expect([node.revision, await ttlsOf(node)]).toEqual([asRevision(1), [30_000]])
})

test('leases are kept alive together, and it is said which of them are not there', async () => {
  const { port, node } = await serve()
  grant(node, '7')
  grant(node, '18446744073709551615')
  const client = await new MuxClient(port).open()
  const ids = ['7', '8', '18446744073709551615']
  expect(await client.ask(1, KEEP_ALIVE, 1000, ids)).toEqual([1, 0, 1, [30_000, null, 30_000]])
  // As for other operations, the answer leaves a little earlier than the client gives up.
  expect(node.asked.at(-1)?.timeoutMs).toBeLessThanOrEqual(980)
})

test.each([
  ['no lease', [], 'leases must be a list of 1 to 1000 ids'],
  ['what is no list', '7', 'leases must be a list of 1 to 1000 ids'],
  [
    'more than a thousand leases',
    Array.from({ length: 1001 }, (_, at) => `${at + 1}`),
    'leases must be a list',
  ],
  ['an id that is a number', ['7', 7], 'leases[1] must be the id of a lease'],
])('a keep-alive of %s is refused', async (_, ids, detail) => {
  const { port } = await serve()
  const client = await new MuxClient(port).open()
  const [, kind, problem] = await client.ask(1, KEEP_ALIVE, null, ids)
  expect([kind, problem.code, problem.detail]).toEqual([1, 'bad_request', expect.stringContaining(detail)])
  const most = Array.from({ length: 1000 }, (_, at) => `${at + 1}`)
  expect((await client.ask(2, KEEP_ALIVE, null, most))[3]).toHaveLength(1000)
})

test('what becomes of a keep-alive is told as the node says', async () => {
  const { port, node } = await serve()
  const client = await new MuxClient(port).open()
  node.problem = { code: 'no_quorum', detail: 'nobody answers', written: 'no' }
  const [, kind, problem] = await client.ask(1, KEEP_ALIVE, null, ['7'])
  expect([kind, problem.code]).toEqual([1, 'no_quorum'])
})
