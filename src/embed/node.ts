// One node of an embedded cluster: it can be ended and started again, always at the same URL.

import { existsSync, readdirSync } from 'node:fs'
import { startNode } from '../server/start-node.ts'
import type { Founding, ListenAddress, NodeApi, NodeOptions, RunningNode } from '../server/types.ts'

const HOST = '127.0.0.1'

/** A node of an embedded cluster, as its user sees it. */
export interface EmbeddedNode {
  readonly name: string
  /** Base URL of its HTTP API; stays the same over restarts. */
  readonly url: string
  readonly running: boolean
  /** Its role and progress; undefined while it does not run. */
  readonly api: NodeApi | undefined
  /** Hands leadership over, answers what is under way, and closes. */
  stop(): Promise<void>
  /** Ends as if killed. */
  crash(): Promise<void>
  /** Starts it again on its data. Resolves when it serves; a majority brings it up to date behind that. */
  start(): Promise<void>
}

type Setting = Pick<NodeOptions, 'timing' | 'logger' | 'resolvePeer'>

export class Node implements EmbeddedNode {
  readonly name: string
  readonly #dataDir: string
  readonly #setting: Setting
  #listen: ListenAddress
  #peerListener: ListenAddress | undefined
  #url = ''
  #running: RunningNode | undefined
  #starting: Promise<void> | undefined
  #lastEnd: string | undefined

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

  /** Where its relays lead; undefined while it does not run. */
  get peerListener(): ListenAddress | undefined {
    return this.#running && this.#peerListener
  }

  get hasData(): boolean {
    return existsSync(this.#dataDir) && readdirSync(this.#dataDir).length > 0
  }

  /** Empty when it is a voter that knows a leader and is up to date. */
  get notReady(): readonly string[] {
    return this.api?.status().notReady ?? [this.#lastEnd ?? 'it does not run']
  }

  /** It ended without being asked to: the reason. */
  get failure(): string | undefined {
    return this.#running ? undefined : this.#lastEnd
  }

  async start(founding: Founding = { kind: 'existing' }): Promise<void> {
    if (this.#running) return
    this.#starting ??= this.#start(founding).finally(() => {
      this.#starting = undefined
    })
    await this.#starting
  }

  async stop(): Promise<void> {
    await this.#running?.stop()
  }

  async crash(): Promise<void> {
    await this.#running?.crash()
  }

  async #start(founding: Founding): Promise<void> {
    this.#lastEnd = undefined
    const running = await startNode({
      name: this.name,
      dataDir: this.#dataDir,
      listen: this.#listen,
      // The relays follow it wherever it listens.
      peerListen: { host: HOST, port: 0 },
      founding,
      ...this.#setting,
    })
    this.#running = running
    this.#url = running.url
    this.#listen = { host: HOST, port: portOf(running.url) }
    this.#peerListener = { host: HOST, port: portOf(`tcp://${running.peer}`) }
    void running.ended.then(({ kind, reason }) => {
      this.#running = undefined
      if (kind === 'failed') this.#lastEnd = reason
    })
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port)
}
