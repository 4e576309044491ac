// The cluster version: which entries, rows and meanings the members of a cluster may use.
//
// A member stops at an entry that raises the version beyond what it knows. So a node proposes a higher version only
// when every member has reported in its handshake that it knows that version. From then on, a node refuses peers that
// do not know the version.

import type { Request } from '../../../kv/index.ts'
import { type ClusterFeature, hasFeature, type KvSettings } from '../../../operations/forms/settings.ts'
import type { RaftMember, ReplicaId } from '../../../raft/index.ts'
import type { Greeting } from '../network.ts'
import type { Problem } from '../result.ts'

export class ClusterVersions {
  readonly #self: ReplicaId
  readonly known: number
  readonly #settings: () => Pick<KvSettings, 'clusterVersion'>
  /** The newest cluster version that each replica knows, from the last handshake with it. */
  readonly #known = new Map<ReplicaId, number>()

  /** `known`: the newest one that this node knows. `settings`: those that this node has applied last. */
  constructor(self: ReplicaId, known: number, settings: () => Pick<KvSettings, 'clusterVersion'>) {
    this.#self = self
    this.known = known
    this.#settings = settings
  }

  /**
   * Whether a request may use the feature. An entry that is proposed after this node has applied the raise is behind it
   * in every log.
   */
  has(feature: ClusterFeature): boolean {
    return hasFeature(this.#settings(), feature)
  }

  /** Why a peer may not connect: it would stop at what the cluster uses, and must not say that it is ready before. */
  objection({ name, clusterVersion }: Greeting): string | undefined {
    const current = this.#settings().clusterVersion
    if (clusterVersion >= current) return undefined
    return (
      `${name} runs a version of quorate that knows cluster versions up to ${clusterVersion}, and the cluster is at ` +
      `cluster version ${current}: start ${name} with a version that knows it`
    )
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
      const known = id === this.#self ? this.known : this.#known.get(id)
      if (known === undefined) return [`${name} has not connected since this node started`]
      return known < version ? [`${name} knows no version above ${known}`] : []
    })
  }
}
