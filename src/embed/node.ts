// One node of an embedded cluster: it can be ended and started again, always at the same URL.

import { HOST, portOf } from '../local/addresses.ts'
import { type NodeView, viewOf } from '../local/node-view.ts'
import { holdsNode } from '../server/inspect-data-directory.ts'
import type { Founding, ListenAddress, NodeApi, ServingNode, StartOptions } from '../server/node/types.ts'
import { startNode } from '../server/start-node.ts'
import type { EmbeddedNode } from './types.ts'

type Setting = Pick<StartOptions, 'timing' | 'logger' | 'resolvePeer'>

export class Node implements EmbeddedNode {
  readonly name: string
  readonly #dataDir: string
  readonly #setting: Setting
  #listen: ListenAddress
  #peerListener: ListenAddress | undefined
  #url = ''
  #running: ServingNode | undefined
  /**
   * Settles when all requests so far are carried out. They are carried out one after the other, so the last one decides
   * the final state.
   */
  #asked: Promise<unknown> = Promise.resolve()
  #closed = false
  #lastExit: string | undefined

  constructor(name: string, dataDir: string, port: number, setting: Setting) {
    this.name = name
    this.#dataDir = dataDir
    this.#listen = { host: HOST, port }
    this.#setting = setting
  }

  get url(): string {
    return this.#url
  }

  get running(): boolean {
    return this.#running !== undefined
  }

  get api(): NodeApi | undefined {
    return this.#running?.api
  }

  get view(): NodeView | undefined {
    return this.#running && viewOf(this.#running.api)
  }

  /** The target of its relays; undefined while it does not run. */
  get peerListener(): ListenAddress | undefined {
    return this.#running && this.#peerListener
  }

  get hasData(): boolean {
    return holdsNode(this.#dataDir)
  }

  /** Empty when it is a voter that knows a leader and is up to date. */
  get notReady(): readonly string[] {
    return this.api?.status().notReady ?? [this.#lastExit ?? 'it does not run']
  }

  /** Why it ended, unless a caller ended it. */
  get failure(): string | undefined {
    return this.#running ? undefined : this.#lastExit
  }

  start(): Promise<void> {
    return this.startAs({ kind: 'existing' })
  }

  /** `founding` says what to do with a directory that holds no node yet. */
  startAs(founding: Founding): Promise<void> {
    return this.#ask(async () => {
      if (this.#closed) throw new Error(`${this.name} cannot start: the cluster is closed`)
      if (this.#running === undefined) await this.#start(founding)
    })
  }

  stop(): Promise<void> {
    return this.#ask(async () => {
      const running = this.#running
      // A crash during the stop ends it sooner.
      if (running !== undefined) await Promise.race([running.stop(), running.ended])
    })
  }

  crash(): Promise<void> {
    // At once, even during a graceful stop. The second call reports an error of it.
    this.#running?.crash().catch(() => {})
    return this.#ask(async () => await this.#running?.crash())
  }

  /** Crashes it and drops requests that have not begun yet. */
  close(): Promise<void> {
    this.#closed = true
    return this.crash()
  }

  #ask(step: () => Promise<void>): Promise<void> {
    const done = this.#asked.then(step)
    // A failure is reported to the caller of that request, not to the next one.
    this.#asked = done.catch(() => {})
    return done
  }

  async #start(founding: Founding): Promise<void> {
    this.#lastExit = undefined
    const running = await startNode({
      name: this.name,
      dataDir: this.#dataDir,
      listen: this.#listen,
      // Any port will do: the relays follow it.
      peerListen: { host: HOST, port: 0 },
      founding,
      ...this.#setting,
    })
    this.#running = running
    this.#url = running.url
    this.#listen = { host: HOST, port: portOf(running.url) }
    this.#peerListener = { host: HOST, port: portOf(running.peer) }
    void running.ended.then(({ kind, reason }) => {
      this.#running = undefined
      if (kind === 'failed') this.#lastExit = reason
    })
  }
}
