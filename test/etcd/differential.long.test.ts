// Random requests to Debian's etcd 3.4 and to quorate, compared. `npm run etcd:differential` does it for longer.

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runs } from '../runs.ts'
import { type ComparedServers, startComparison } from './differential/compared-servers.ts'
import { conversations } from './differential/requests.ts'

let servers: ComparedServers
beforeAll(async () => {
  servers = await startComparison()
})
afterAll(() => servers?.stop())

test('etcd and quorate answer the same requests with the same', async () => {
  const { comparison } = servers
  const property = fc.asyncProperty(
    conversations(40),
    async (steps) => void (await comparison.compare(steps)),
  )
  await fc.assert(property, { numRuns: runs(200) })
  expect(comparison.requests).toBeGreaterThan(runs(200))
})
