// Which process of each replica is the newest (design §3, replica identity). A replica's boot counter rises durably at each start, so of
// two processes the one with the higher counter is the replica and the other is a remnant: an older process that has not noticed its end, or
// one that runs on a copy of the directory. The same counter in two processes can only be a copy.

import type { ReplicaId } from '../../raft/types.ts'
import type { Hello, Purpose, Speaker } from './handshake.ts'

interface Newest {
  readonly boot: number
  readonly process: bigint
  /** Highest attempt accepted, by purpose. */
  readonly attempts: Map<Purpose, number>
}

export class Processes {
  private readonly newest = new Map<ReplicaId, Newest>()

  /** Learns of a process that has answered or called. False: it is not the newest one of its replica. */
  heard({ greeting: { replicaId, boot }, process }: Speaker): boolean {
    const known = this.newest.get(replicaId)
    if (known !== undefined && known.boot === boot) return known.process === process
    if (known !== undefined && known.boot > boot) return false
    this.newest.set(replicaId, { boot, process, attempts: new Map() })
    return true
  }

  /** Why a caller is not the newest process of its replica; undefined when it is. */
  superseded(hello: Hello): string | undefined {
    if (this.heard(hello)) return undefined
    const { replicaId, boot, name } = hello.greeting
    const known = this.newest.get(replicaId)?.boot
    return known === boot
      ? `another process runs as replica ${replicaId} (${name}) with the same start counter, ${boot}: is its data directory a copy?`
      : `a newer process of replica ${replicaId} (${name}) has been started: ${known} starts against ${boot}`
  }

  /** Whether this call is newer than all that were taken from that process: what it said may otherwise be out of date. */
  takes({ greeting: { replicaId }, purpose, attempt }: Hello): boolean {
    const attempts = this.newest.get(replicaId)?.attempts
    if (attempts === undefined || attempt <= (attempts.get(purpose) ?? 0)) return false
    attempts.set(purpose, attempt)
    return true
  }
}
