// The cluster version is raised only when every member knows the new one: a member that does not know it would stop at
// the entry that raises it. Members report in the handshake which versions they know. Nothing is known about a member
// that this process has not heard since its start.
//
// A leader raises it by itself as soon as every member knows the newest one. Until then, requests of kinds that need it
// are refused.

import { CLUSTER_VERSION, clusterVersionOf, type Request } from '../../kv/index.ts'
import type { Member, ReplicaId } from '../../raft/index.ts'
import type { Problem } from './types.ts'

export class ClusterVersions {
  readonly #self: ReplicaId
  /** The newest cluster version that each replica knows, from the last handshake with it. */
  readonly #known = new Map<ReplicaId, number>()

  constructor(self: ReplicaId) {
    this.#self = self
  }

  heard(from: ReplicaId, version: number): void {
    this.#known.set(from, version)
  }

  /**
   * Why this request must not be proposed: it names a cluster version that some member may not know, or needs one above
   * `current`.
   */
  refusal(request: Request, members: readonly Member[], current: number): Problem | undefined {
    const needed = clusterVersionOf(request)
    // A node that lags behind, or has not received the state yet, knows an older version than the cluster has.
    if (needed > current) return needsVersion(needed, current)
    const { command } = request
    const wanted = command.kind === 'settings' ? command.settings.clusterVersion : undefined
    if (wanted === undefined) return undefined
    const behind = this.#behind(wanted, members)
    if (behind.length === 0) return undefined
    return refused(
      'membership_refused',
      `cluster version ${wanted} would stop members that do not know it: ${behind.join(', ')}. ` +
        'Start every member with a quorate that knows it, and remove those that are gone',
    )
  }

  #behind(wanted: number, members: readonly Member[]): string[] {
    return members.flatMap(({ id, name }) => {
      const version = id === this.#self ? CLUSTER_VERSION : this.#known.get(id)
      if (version === undefined) return [`${name} has not been heard of since this node began`]
      return version < wanted ? [`${name} knows no version above ${version}`] : []
    })
  }
}

export const needsVersion = (needed: number, current: number): Problem =>
  refused(
    'not_ready',
    `this request needs cluster version ${needed}, this node has applied ${current}. ` +
      'It is raised when every member runs a quorate that knows it',
  )

const refused = (code: Problem['code'], detail: string): Problem => ({ code, detail, written: 'no' })
