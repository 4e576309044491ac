// One node of an embedded cluster: it can be ended and started again, always at the same URL.

import { HOST, parsePort } from '../local/addresses.ts'
import { failureReason } from '../local/failure.ts'
import { type NodeView, nodeView } from '../local/node/node-view.ts'
import type { KvNode } from '../server/node/kv-node.ts'
import type { Founding, ListenAddress } from '../server/options.ts'
import { holdsNode } from '../server/replica/inspect-data-directory.ts'
import type { ServingNode } from '../server/start/start-node.ts'
import { startNode } from '../server/start/start-node.ts'
import type { StartOptions } from '../server/start/start-options.ts'
import { checkListenAddress, hostPort } from '../system/addresses.ts'
import type { EmbeddedNode } from './types.ts'

type NodeSettings = Pick<StartOptions, 'timing' | 'logger' | 'resolvePeer' | 'tls' | 'peerTls'>

export class InProcessNode implements EmbeddedNode {
  readonly name: string
  readonly #dataDir: string
  readonly #settings: NodeSettings
  #port: number
  #url = ''
  #running: ServingNode | undefined
  #replicaId: string | undefined
  /** Settles when all requests so far have been executed. They run one after the other, so the last one wins. */
  #lastRequest: Promise<unknown> = Promise.resolve()
  #closed = false
  #failure: string | undefined

  constructor(name: string, dataDir: string, port: number, settings: NodeSettings) {
    this.name = name
    this.#dataDir = dataDir
    this.#port = port
    this.#settings = settings
  }

  get url(): string {
    return this.#url
  }

  get running(): boolean {
    return this.#running !== undefined
  }

  get api(): KvNode | undefined {
    return this.#running?.api
  }

  get view(): NodeView | undefined {
    return this.#running && nodeView(this.#running.api)
  }

  /** The target of its relays; undefined while it does not run. */
  get peerListener(): ListenAddress | undefined {
    return this.#running && { host: HOST, port: parsePort(this.#running.peer) }
  }

  /** Whether this id is known to be that of another replica. */
  isOther(id: string): boolean {
    return this.#replicaId !== undefined && this.#replicaId !== id
  }

  get hasData(): boolean {
    return holdsNode(this.#dataDir)
  }

  /** Empty when it is a voter that knows a leader and is up to date. */
  get notReady(): readonly string[] {
    return this.api?.status().notReady ?? [this.#failure ?? 'it does not run']
  }

  /** Why it ended, unless a caller ended it. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** Rejects when its client port is taken: then no node of a new cluster is formatted. */
  async checkPort(): Promise<void> {
    const address = { host: HOST, port: this.#port }
    try {
      await checkListenAddress(address)
    } catch (cause) {
      const hint = 'end the program that listens there, or choose another port'
      throw new Error(`cannot listen on ${hostPort(address)} (ports): ${failureReason(cause)}; ${hint}`, {
        cause,
      })
    }
  }

  start(): Promise<void> {
    return this.startAs({ kind: 'existing' })
  }

  /** `founding`: how a directory without a node becomes one. */
  startAs(founding: Founding): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#closed) throw new Error(`${this.name} cannot start: the cluster is closed`)
      if (this.#running === undefined) await this.#start(founding)
    })
  }

  stop(): Promise<void> {
    return this.#enqueue(async () => {
      const running = this.#running
      if (running === undefined) return
      // A crash during the stop ends it sooner.
      await Promise.race([running.stop(), running.ended])
    })
  }

  crash(): Promise<void> {
    // At once, even during a graceful stop. The second call reports an error of it.
    this.#running?.crash().catch(() => {})
    return this.#enqueue(async () => await this.#running?.crash())
  }

  /** Crashes it and refuses starts from now on. */
  close(): Promise<void> {
    this.#closed = true
    return this.crash()
  }

  #enqueue(request: () => Promise<void>): Promise<void> {
    const done = this.#lastRequest.then(request)
    // A failure is reported to the caller of that request, not to the next one.
    this.#lastRequest = done.catch(() => {})
    return done
  }

  async #start(founding: Founding): Promise<void> {
    this.#failure = undefined
    const running = await startNode({
      name: this.name,
      dataDir: this.#dataDir,
      listen: { host: HOST, port: this.#port },
      // Any port: the relays follow it.
      peerListen: { host: HOST, port: 0 },
      founding,
      ...this.#settings,
    })
    this.#running = running
    this.#replicaId = running.api.status().replicaId
    this.#url = running.url
    this.#port = parsePort(running.url)
    void running.ended.then(({ kind, reason }) => {
      this.#running = undefined
      if (kind === 'failed') this.#failure = reason
    })
  }
}
