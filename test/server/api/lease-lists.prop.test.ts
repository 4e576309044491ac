// Lists of leases in pages, against a model that has them all. Leases of others and leases that end do not show, no
// page but the last has room, and each lease has the time that the leader knows.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LeaseDescription, LeaseId } from '../../../src/operations/forms/index.ts'
import { RENEW_LEASES_MAX } from '../../../src/operations/keep-alive.ts'
import { Api } from '../../../src/server/api/api.ts'
import type { Call, Principal } from '../../../src/server/api/call.ts'
import { execute } from '../../../src/server/api/execute.ts'
import { apiLimits } from '../../../src/server/api/limits.ts'
import { runs } from '../../runs.ts'
import { nodeWithUsers } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'

const TTL_MS = 60_000

interface Page {
  readonly leases: readonly LeaseDescription[]
  readonly more: boolean
}

function readPage(
  api: Api,
  limit: number,
  after: LeaseId | undefined,
  consistency: 'linearizable' | 'stale',
  principal?: Principal,
): Promise<Page> {
  const deadline = performance.now() + 60_000
  const call: Call = { deadline, expansion: 1, isAbandoned: () => false, principal }
  return new Promise((resolve, reject) =>
    execute(api, { kind: 'list-leases', after, limit, freshness: { consistency } }, call, (answer) => {
      if ('result' in answer) resolve(answer.result)
      else reject(answer)
    }),
  )
}

const newApi = (node: FakeNode, sliceRowsMax: number): Api =>
  new Api({
    ...{ node, limits: { ...apiLimits, sliceRowsMax }, version: '' },
    failed: (error) => expect.fail(error.message),
  })

/** Begins to delete the keys of a lease, of which it has too many for one entry. */
function end(node: FakeNode, id: LeaseId): void {
  for (const name of ['1', '2', '3'])
    node.apply({
      ...{ kind: 'put', key: Buffer.from(`${id}/${name}`), value: Buffer.alloc(0) },
      ...{ condition: undefined, prev: false, lease: { id } },
    })
  node.apply({ kind: 'revoke', id })
  expect(node.lease(id)).toMatchObject({ isEnding: true })
}

const granted = fc.record({
  owner: fc.constantFrom('bob', 'root'),
  isEnding: fc.nat(5).map((drawn) => drawn === 0),
  knownTtlMs: fc.option(fc.nat(TTL_MS), { nil: undefined }),
})

test('the pages of a list have each lease once that its reader may see, and say when there are more', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(granted, { maxLength: 12 }),
      fc.constantFrom('bob', 'root'),
      fc.constantFrom('linearizable', 'stale'),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      async (leases, reader, consistency, limit, sliceRowsMax) => {
        const node = nodeWithUsers(new FakeNode({ rangeKeysMax: 1 }))
        const expected: object[] = []
        for (const [at, { owner, isEnding, knownTtlMs }] of leases.entries()) {
          const id = String(at + 1) as LeaseId
          node.applyAs(owner, { kind: 'grant', id, ttlMs: TTL_MS })
          if (isEnding) end(node, id)
          if (knownTtlMs !== undefined) node.knownTtls.set(id, knownTtlMs)
          if (!isEnding && (reader === 'root' || owner === reader))
            expected.push({
              id,
              remainingTtlMs: consistency === 'stale' ? TTL_MS : (knownTtlMs ?? TTL_MS),
            })
        }
        const api = newApi(node, sliceRowsMax)
        const found: object[] = []
        const principal = { user: reader, epoch: undefined }
        for (let after: LeaseId | undefined, more = true; more; ) {
          const page = await readPage(api, limit, after, consistency, principal)
          for (const { id, remainingTtlMs } of page.leases) found.push({ id, remainingTtlMs })
          after = page.leases.at(-1)?.id
          if (page.more) expect(page.leases).toHaveLength(limit)
          more = page.more
        }
        expect(found).toEqual(expected)
        await node.scansClosed()
        expect(api.outbound.bytes).toBe(0)
      },
    ),
    { numRuns: runs(400) },
  )
})

test('all leases of a page have the times that the leader knows, however many a node may request at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: RENEW_LEASES_MAX - 1, max: 2 * RENEW_LEASES_MAX + 1 }),
      async (count) => {
        const node = new FakeNode()
        for (let at = 1; at <= count; at++) {
          node.apply({ kind: 'grant', id: String(at) as LeaseId, ttlMs: TTL_MS })
          node.knownTtls.set(String(at), at)
        }
        const { leases } = await readPage(
          newApi(node, apiLimits.sliceRowsMax),
          2 * count,
          undefined,
          'linearizable',
        )
        expect(leases.map(({ remainingTtlMs }) => remainingTtlMs)).toEqual(
          Array.from({ length: count }, (_, at) => at + 1),
        )
      },
    ),
    { numRuns: 2 },
  )
})
