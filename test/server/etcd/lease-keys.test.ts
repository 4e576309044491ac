// The keys of a lease, which may have any number of them.

import { expect, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { leaseTimeToLive } from '../../../src/server/etcd/services/lease-time-to-live.ts'

test('the keys of a lease are encoded while they are read, and not all at once', async () => {
  const slices = Array.from({ length: 40 }, (_, slice) =>
    Array.from({ length: 500 }, (__, at) => Buffer.from(`key ${slice}/${at} ${'k'.repeat(80)}`)),
  )
  const left = [...slices]
  const keys = { next: async () => left.shift(), close() {} }
  const lease = { id: '7', grantedTtlMs: 60_000, remainingTtlMs: 50_000 }
  let heldBytes = 0
  const call = {
    execute: async () => ({ kind: 'lease-keys', lease, keys, head: { revision: 9 } }),
    header: (revision: number) => ({ clusterId: 1n, memberId: 1n, revision, raftTerm: 1 }),
    hold(bytes: number) {
      heldBytes += bytes
    },
    nextDeadline: () => 0,
    etcd: { readTurns: { read: (_: unknown, read: (deadline: number) => Promise<unknown>) => read(0) } },
  } as unknown as EtcdCall
  const response = await leaseTimeToLive.run({ id: 7n, keys: true }, call)
  if ('values' in response) expect.fail()
  const parts = RPC.leaseTimeToLive.response.encodeInParts(response)
  expect(Math.max(...parts.map(({ length }) => length))).toBeLessThan(64 * 1024)
  const message = Buffer.concat(parts)
  const decoded = RPC.leaseTimeToLive.response.decode(message)
  expect(decoded).toMatchObject({ id: 7n, ttl: 50, grantedTtl: 60 })
  expect(decoded.keys.map((key) => Buffer.from(key).toString())).toEqual(slices.flat().map(String))
  // The memory that is counted is that of the message.
  expect(message.length - heldBytes).toBeLessThan(100)
  expect(heldBytes).toBeLessThanOrEqual(message.length)
})
