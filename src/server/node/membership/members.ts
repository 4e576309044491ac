// The members of the cluster as this node has applied them, and the peers that it stays connected with.

import type { KvSettings } from '../../../operations/forms/settings.ts'
import {
  type Configuration,
  isMember,
  type Raft,
  type RaftMember,
  type ReplicaId,
} from '../../../raft/index.ts'
import type { Logger } from '../../options.ts'
import type { Greeting } from '../network.ts'
import { ClusterVersions } from './cluster-version.ts'
import { configurationLog } from './configuration-log.ts'
import type { PeerSender } from './peer-sender.ts'

export const WAS_REMOVED = 'was removed from the cluster'

/** The reason that a removed node gets, with the way back for its operator. */
export const removedText = (node: string): string =>
  `${node} ${WAS_REMOVED}. To bring the node back, start it on an empty directory with --join URL`

interface MembersOptions {
  readonly raft: Pick<Raft, 'id' | 'configuration' | 'leader' | 'settled'>
  readonly logger: Logger
  readonly peers: Pick<PeerSender, 'setPeers'>
  /** The newest cluster version that this node knows. */
  readonly knownVersion: number
  /** The applied settings. */
  readonly settings: () => Pick<KvSettings, 'clusterVersion'>
}

export class Members {
  readonly #options: MembersOptions
  /** The cluster versions that the members know. */
  readonly versions: ClusterVersions
  /** The configuration after the last applied entry. */
  configuration: Configuration
  /**
   * Replicas that are no longer members but still needed: the leader that this node follows, or those that this leader
   * removes.
   */
  #outgoing: readonly RaftMember[] = []

  constructor(options: MembersOptions) {
    this.#options = options
    this.versions = new ClusterVersions(options.raft.id, options.knownVersion, options.settings)
    this.configuration = options.raft.configuration
  }

  findName(id: ReplicaId): string | undefined {
    return this.configuration.members.find((member) => member.id === id)?.name
  }

  get leaderName(): string | undefined {
    const { leader } = this.#options.raft
    return leader === undefined ? undefined : this.findName(leader)
  }

  /** Why a replica that was removed, or is too old for the cluster version, may not connect. */
  refusal(greeting: Greeting): { refuse: string; stop: boolean } | undefined {
    const { replicaId, name } = greeting
    if (!this.configuration.removed.includes(replicaId)) {
      const tooOld = this.versions.objection(greeting)
      return tooOld === undefined ? undefined : { refuse: tooOld, stop: true }
    }
    if (this.#outgoing.some(({ id }) => id === replicaId)) return undefined
    // Voters that do not know of the removal yet may still need its vote, so it runs until they no longer do.
    return { refuse: removedText(`${name} (replica ${replicaId})`), stop: this.#options.raft.settled }
  }

  /**
   * The remaining voters may need the vote of a removed replica as long as too few of them know of its removal. So this
   * node ends when enough of them know, and another replica leads; or when one of them requires it (`refusal`).
   */
  get isRemovedForGood(): boolean {
    const { leader, settled, id } = this.#options.raft
    if (!settled || leader === undefined || leader === id) return false
    return this.configuration.removed.includes(id)
  }

  /** Takes over the core's configuration. Returns whether it has changed. */
  update(): boolean {
    const { raft, logger } = this.#options
    const before = this.configuration
    if (raft.configuration === before) return false
    this.configuration = raft.configuration
    const { message, ...fields } = configurationLog(before, raft.configuration)
    logger.info(fields, message)
    this.#updateOutgoing(before)
    this.setPeers()
    return true
  }

  setPeers(): void {
    const { id: self } = this.#options.raft
    const peers = this.configuration.members.filter(({ id }) => id !== self)
    this.#options.peers.setPeers([...peers, ...this.#outgoing])
  }

  /** Disconnects from replicas that are no longer needed. */
  releaseOutgoing(): void {
    if (this.#outgoing.length > 0) this.#updateOutgoing(this.configuration)
  }

  /** Another replica leads, or none. */
  leaderChanged(): void {
    this.#updateOutgoing(this.configuration)
  }

  /**
   * A removed leader leads until it has handed over, so its followers stay connected with it until then. And a leader
   * stays connected with the replicas that it removes until the others know of their removal.
   */
  #updateOutgoing(before: Configuration): void {
    const { leader, settled, id: self } = this.#options.raft
    const isOutgoing = ({ id }: RaftMember): boolean =>
      id !== self && (leader === self ? !settled : id === leader) && !isMember(this.configuration, id)
    const known = new Map([...before.members, ...this.#outgoing].map((member) => [member.id, member]))
    const outgoing = [...known.values()].filter(isOutgoing)
    const isSame =
      outgoing.length === this.#outgoing.length &&
      outgoing.every(({ id }, at) => this.#outgoing[at]?.id === id)
    if (isSame) return
    this.#outgoing = outgoing
    this.setPeers()
  }
}
