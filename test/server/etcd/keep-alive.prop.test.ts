// A stream of keep-alives: each request is answered once, in order, with the time to live of its lease, also when the
// client sends nothing more, and the stream ends after the last answer.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LeaseKeepAliveResponse } from '../../../src/etcd/messages/lease.ts'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import type { EtcdCall } from '../../../src/server/etcd/call.ts'
import { leaseKeepAlive } from '../../../src/server/etcd/services/lease-keep-alive.ts'
import { runs } from '../../runs.ts'
import { connectionWith } from '../clients/lone-connection.ts'

/** No lease has the id 0, and none the id 1. Of any other lease the time to live is as many seconds as its id. */
const ids = fc.array(fc.bigInt({ min: 0n, max: 5n }), { maxLength: 6 })
const ttlOf = (id: bigint): number => (id < 2n ? 0 : Number(id))

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test('each keep-alive is answered once and in order, and the stream ends after the last one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.record({ ids, turns: fc.nat(2) }), { maxLength: 6 }), async (chunks) => {
      const answers: { readonly id: bigint; readonly ttl: number }[] = []
      const ends: unknown[] = []
      const inbound = new InboundBudget(2 ** 20)
      const call = {
        client: { connection: connectionWith(inbound) },
        header: () => undefined,
        nextDeadline: () => 0,
        execute: async ({ ids: named }: { readonly ids: readonly string[] }) => {
          await turn()
          return { result: named.map((id) => (BigInt(id) < 2n ? undefined : Number(id) * 1000)) }
        },
      } as unknown as EtcdCall
      const stream = leaseKeepAlive.open(call, {
        ...{ sendBytes() {}, waitingBytes: 0, drained: async () => {} },
        send: ({ id = 0n, ttl = 0 }: Partial<LeaseKeepAliveResponse>) => {
          expect(ends).toEqual([])
          answers.push({ id, ttl })
        },
        end: (error) => void ends.push(error),
      })
      for (const { ids: requested, turns } of chunks) {
        for (const id of requested) stream.request({ id })
        for (let left = turns; left > 0; left--) await turn()
      }
      stream.halfClosed()
      for (let left = 50; ends.length === 0 && left > 0; left--) await turn()
      const all = chunks.flatMap(({ ids: requested }) => requested)
      expect(answers).toEqual(all.map((id) => ({ id, ttl: ttlOf(id) })))
      expect([ends, inbound.bytes]).toEqual([[undefined], 0])
    }),
    { numRuns: runs(1000) },
  )
})
