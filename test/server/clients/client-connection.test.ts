// One connection of a client: what it holds, and when it is cut.

import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { InboundBudget } from '../../../src/server/api/budget.ts'
import { connectionWith } from './lone-connection.ts'

const KiB = 1024

test('a client whose half head has no room among those of users is cut when it becomes known', () => {
  const inbound = new InboundBudget(64 * KiB)
  const [fits, tooLarge] = [new Socket(), new Socket()]
  for (const socket of [fits, tooLarge]) {
    const connection = connectionWith(inbound, socket)
    connection.holdHead(4 * KiB, 40 * KiB)
    connection.identified()
  }
  expect([fits.destroyed, tooLarge.destroyed, inbound.bytes]).toEqual([false, true, 39 * KiB])
})

test('what a client held before it was known may bring users beyond their limit, and is given back', () => {
  const [inbound, unauthenticated] = [new InboundBudget(4 * KiB), new InboundBudget(64 * KiB)]
  const client = connectionWith(inbound, undefined, unauthenticated)
  client.hold(11 * KiB)
  client.identified()
  expect([inbound.bytes, unauthenticated.bytes]).toEqual([10 * KiB, 0])
  const other = connectionWith(inbound)
  expect([other.tryHold(1 * KiB), other.tryHold(1)]).toEqual([true, false])
  for (let left = 11; left > 0; left--) client.release(1 * KiB)
  expect([inbound.bytes, other.tryHold(1 * KiB)]).toEqual([0, true])
})
