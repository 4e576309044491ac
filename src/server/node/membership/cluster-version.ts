// The cluster version: which entries, rows and meanings the members of a cluster may use. This program knows one, 1.
//
// A member stops at an entry that raises the version beyond what it knows. So a node proposes a higher version only
// when every member has reported in its handshake that it knows that version.

import type { Request } from '../../../kv/index.ts'
import { CLUSTER_VERSION } from '../../../operations/forms/settings.ts'
import type { RaftMember, ReplicaId } from '../../../raft/index.ts'
import type { Problem } from '../result.ts'

export class ClusterVersions {
  readonly #self: ReplicaId
  /** The newest cluster version that each replica knows, from the last handshake with it. */
  readonly #known = new Map<ReplicaId, number>()

  constructor(self: ReplicaId) {
    this.#self = self
  }

  reported(by: ReplicaId, version: number): void {
    this.#known.set(by, version)
  }

  /** Why this request must not be proposed: it names a cluster version that some member may not know. */
  refusal({ command }: Request, members: readonly RaftMember[]): Problem | undefined {
    const version = command.kind === 'settings' ? command.settings.clusterVersion : undefined
    // A program knows all versions from 1 to its own.
    if (version === undefined || version <= 1) return undefined
    const behind = this.#behind(version, members)
    if (behind.length === 0) return undefined
    return {
      code: 'membership_refused',
      detail:
        `cluster version ${version} would stop members that do not know it: ${behind.join(', ')}. ` +
        'Start every member with a quorate that knows it, and remove those that are gone',
      written: 'no',
    }
  }

  #behind(version: number, members: readonly RaftMember[]): string[] {
    return members.flatMap(({ id, name }) => {
      const known = id === this.#self ? CLUSTER_VERSION : this.#known.get(id)
      if (known === undefined) return [`${name} has not connected since this node started`]
      return known < version ? [`${name} knows no version above ${known}`] : []
    })
  }
}
