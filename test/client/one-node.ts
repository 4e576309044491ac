// One scripted node and a client that has a multiplexed connection to it.

import type { Client, ClientOptions } from '../../src/client/index.ts'
import type { FakeLines, Item, Line } from './fake-lines.ts'
import type { FakeNode } from './fake-node.ts'
import { clientOf, connected, fake } from './with-fakes.ts'

export const PUT = 1

interface Setting {
  readonly node: FakeNode
  readonly lines: FakeLines
  readonly kv: Client
}

/** A client that has a multiplexed connection to its only node. */
export async function oneNode(
  options: Partial<ClientOptions> = {},
  prepare = (_: FakeLines) => {},
): Promise<Setting> {
  const node = await fake()
  const lines = node.multiplex()
  prepare(lines)
  const kv = clientOf([node], { transport: 'auto', ...options })
  await connected(kv, [node])
  return { node, lines, kv }
}

/** The node does not answer operations; the test does. */
export function held(lines: FakeLines): { item: Item; line: Line }[] {
  const items: { item: Item; line: Line }[] = []
  lines.onItem = (item, line) => {
    items.push({ item, line })
    return true
  }
  return items
}

export const served = ([id, op]: Item, revision = 9): Item =>
  op === PUT ? [id, 0, revision, revision, revision, 1, false] : [id, 0, revision, null, 'linearizable']
