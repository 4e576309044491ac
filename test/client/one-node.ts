// One scripted node and a client that has a multiplexed connection to it.

import type { Client, ClientOptions } from '../../src/client/index.ts'
import type { Item, Line, RelayedLines } from './relayed-lines.ts'
import type { RelayedNode } from './relayed-node.ts'
import { clientOf, connected, fake, WARM_UP_MS } from './with-fakes.ts'

export const [PUT, DELETE, GET, CHANGES] = [1, 2, 3, 6]

interface Setting {
  readonly node: RelayedNode
  readonly lines: RelayedLines
  readonly kv: Client
}

/** A client that has a multiplexed connection to its only node. */
export async function oneNode(
  options: Partial<ClientOptions> = {},
  prepare = (_: RelayedLines) => {},
): Promise<Setting> {
  const node = await fake()
  const lines = node.multiplex()
  prepare(lines)
  const kv = clientOf([node], { transport: 'auto', ...options })
  await connected(kv, [node])
  return { node, lines, kv }
}

/** A client with a multiplexed connection that has a session: its changes have slots. */
export async function oneNodeWithSession(
  {
    ageMs = 900_000,
    slots = 4096,
    ...options
  }: Partial<ClientOptions> & { ageMs?: number; slots?: number } = {},
  prepare = (_: RelayedLines) => {},
): Promise<Setting> {
  const node = await fake()
  const lines = node.multiplex()
  prepare(lines)
  node.sessions = { ageMs, slots }
  const kv = clientOf([node], { transport: 'auto', ...options })
  await connected(kv, [node])
  await haveSession(kv, [lines])
  node.seen.length = 0
  return { node, lines, kv }
}

/** Writes until a write has a slot. What was sent is forgotten. */
export async function haveSession(kv: Client, all: readonly RelayedLines[]): Promise<void> {
  const hasSlot = ([, op, ...fields]: Item) => op === PUT && (fields[3] as unknown[]).length === 3
  // Tokens are used until the session is there.
  while (!all.some(({ items }) => items.some(hasSlot))) await kv.put('warm', '1', { timeoutMs: WARM_UP_MS })
  for (const { items } of all) items.length = 0
}

/** The node does not answer operations; the test does. */
export function held(lines: RelayedLines): { item: Item; line: Line }[] {
  const items: { item: Item; line: Line }[] = []
  lines.onItem = (item, line) => {
    items.push({ item, line })
    return true
  }
  return items
}

export const served = ([id, op]: Item, revision = 1): Item =>
  op === PUT ? [id, 0, revision, revision, revision, 1, false] : [id, 0, revision, null, 'linearizable']
