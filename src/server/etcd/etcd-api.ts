// etcd's API of one node: what its calls share, whether they come as gRPC or through the gateway.

import type { Api } from '../api/api.ts'
import { ReadTurns, turnsOf } from './read-turns.ts'
import { StatusObservers } from './status-observers.ts'

export class EtcdApi {
  readonly api: Api
  readonly readTurns: ReadTurns
  /** The turns of ranges that are read while their clients take them. */
  readonly streamTurns: ReadTurns
  /** The turns of responses that need more memory than others while they are made. */
  readonly largeTurns = new ReadTurns(1)
  readonly statusObservers = new StatusObservers()
  /** The last change of users and roles. They follow each other: each makes those wrong that were read beside it. */
  lastAuthChange: Promise<unknown> | undefined
  /** The ids of cluster and member for headers. A node keeps both for its whole life. */
  #ids: { readonly clusterId: bigint; readonly memberId: bigint } | undefined

  constructor(api: Api) {
    this.api = api
    const { reads, streams } = turnsOf(api)
    this.readTurns = new ReadTurns(reads)
    this.streamTurns = new ReadTurns(streams)
  }

  /** The header of a response. */
  header(revision: number) {
    const { node } = this.api
    this.#ids ??= { clusterId: BigInt(node.clusterId), memberId: BigInt(node.status().replicaId) }
    return { ...this.#ids, revision, raftTerm: node.term }
  }
}
