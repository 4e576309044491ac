// The partition itself: every link between the two sides, in both directions.

import { Traffic } from '../local/nemesis.ts'
import type { Link, RelayNetwork } from '../local/network.ts'

/**
 * silent: no bytes pass, sockets stay open, as when a cable is pulled out. refused: connections
 * are reset and new ones are refused, as by a firewall that rejects; so a node notices the loss at once.
 */
export const CUTS = ['silent', 'refused'] as const
export type PartitionKind = (typeof CUTS)[number]

interface ActivePartition {
  /** Bytes that have passed between the sides since the cut. */
  readonly leakedBytes: number
  heal(): Promise<void>
}

export async function partitionBetween(
  network: RelayNetwork,
  side: readonly string[],
  kind: PartitionKind,
): Promise<ActivePartition> {
  const links = network.between((from, to) => side.includes(from) !== side.includes(to))
  const heal = kind === 'silent' ? silence(links) : await refuse(links)
  const since = new Traffic(links)
  return {
    get leakedBytes() {
      return since.bytes
    },
    heal,
  }
}

function silence(links: readonly Link[]): ActivePartition['heal'] {
  const undo = links.map((link) => link.cut(false))
  return async () => {
    for (const join of undo) join()
  }
}

async function refuse(links: readonly Link[]): Promise<ActivePartition['heal']> {
  await Promise.all(links.map((link) => link.shut()))
  return async () => {
    await Promise.all(links.map((link) => link.open()))
  }
}
