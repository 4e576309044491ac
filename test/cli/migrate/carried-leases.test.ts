// The leases that a migration carries, where a side does not answer.

import { expect, test } from 'vitest'
import { CarriedLeases } from '../../../src/cli/migrate/carried-leases.ts'
import { type Client, UnavailableError } from '../../../src/client/index.ts'

const unreachable = () => new UnavailableError('unreachable', { code: 'unreachable', written: 'no' })

/** The leases from `1` on, which have been carried to a target that has them. */
async function carried(count: number) {
  const renewed: string[] = []
  const sides = { isSilent: false, ended: new Set<string>(), isReset: false }
  const source = {
    lease: async (id: string) => {
      if (sides.isSilent) throw unreachable()
      return sides.ended.has(id) ? undefined : { id, grantedTtlMs: 60_000 }
    },
  }
  const target = {
    grantLease: async ({ id }: { id: string }) => ({ id, ttlMs: 60_000 }),
    keepLeasesAlive: async (ids: readonly string[]) => {
      renewed.push(...ids)
      return ids.map((id) => ({ id, ttlMs: sides.isReset ? undefined : 60_000 }))
    },
  }
  const [from, to] = [source, target] as unknown as [Client, Client]
  const leases = new CarriedLeases(from, to, new AbortController().signal, 60_000)
  for (let id = 1; id <= count; id++) await leases.carry(String(id))
  const renew = async () => {
    renewed.length = 0
    await leases.renewAll()
    return [...renewed]
  }
  return { leases, sides, renew }
}

test('they are renewed for as long as the source does not answer', async () => {
  const { leases, sides, renew } = await carried(2)
  sides.isSilent = true
  for (let times = 0; times < 3; times++) expect(await renew()).toEqual(['1', '2'])
  sides.isSilent = false
  sides.ended.add('1')
  expect(await renew()).toEqual(['2'])
  expect(leases.takeLost()).toEqual([])
})

test('those that have ended in the target are found, however many they are', async () => {
  const { leases, sides, renew } = await carried(200)
  sides.isReset = true
  expect(await renew()).toHaveLength(200)
  expect(leases.takeLost()).toHaveLength(200)
  expect(await renew()).toEqual([])
  expect(leases.takeLost()).toEqual([])
})
