// Which process of each replica is the newest (NODE-8). A replica's boot counter rises durably at each start. So of two
// processes the one with the higher counter is current. The other is an older process that has not noticed its end, or
// one that runs on a copy of the directory. Two processes with the same counter run on copies.
//
// A counter far above the last known one is not accepted: a made-up counter would keep the real replica out
// permanently.

import type { ReplicaId } from '../../raft/types.ts'
import type { Hello, PeerProcess, Purpose } from './wires.ts'

interface Newest {
  readonly boot: number
  readonly incarnation: bigint
  /** Highest accepted attempt, by purpose. */
  readonly attempts: Map<Purpose, number>
}

/** Why a caller is refused, and whether it must end. */
export interface Objection {
  readonly refuse: string
  readonly stop: boolean
  /** Whether the refusal is expected, for example after a removal, so that it needs no warning. */
  readonly isExpected?: boolean
}

export class NewestProcesses {
  readonly #newest = new Map<ReplicaId, Newest>()
  readonly #bootJumpMax: number

  constructor({ bootJumpMax }: { readonly bootJumpMax: number }) {
    this.#bootJumpMax = bootJumpMax
  }

  /** Why a process cannot be the newest of its replica; undefined when it can be. */
  objection({ greeting: { replicaId, boot, name }, incarnation }: PeerProcess): Objection | undefined {
    const known = this.#newest.get(replicaId)
    const whom = `replica ${replicaId} (${name})`
    if (boot > (known?.boot ?? 0) + this.#bootJumpMax) {
      const refuse = `${whom} states ${boot} starts, ${known === undefined ? 'and has never connected before' : `${known.boot} at its last connection`}: a jump of more than ${this.#bootJumpMax} is rejected`
      return { refuse, stop: false }
    }
    if (known === undefined || boot > known.boot || known.incarnation === incarnation) return undefined
    const refuse =
      known.boot === boot
        ? `another process runs as ${whom} with the same start counter, ${boot}: is its data directory a copy?`
        : `a newer process of ${whom} has been started: ${known.boot} starts against ${boot}`
    return { refuse, stop: true }
  }

  /** Records a process that has answered or was let in, and to which there is no objection. */
  greeted({ greeting: { replicaId, boot }, incarnation }: PeerProcess): void {
    const known = this.#newest.get(replicaId)
    if (known?.incarnation !== incarnation)
      this.#newest.set(replicaId, { boot, incarnation, attempts: new Map() })
  }

  /**
   * Whether this call is newer than all accepted calls of that process. The content of an older call may be out of
   * date.
   */
  accepts({ greeting: { replicaId }, purpose, attempt }: Hello): boolean {
    const attempts = this.#newest.get(replicaId)?.attempts
    if (attempts === undefined || attempt <= (attempts.get(purpose) ?? 0)) return false
    attempts.set(purpose, attempt)
    return true
  }
}
