// The cluster under test: the shipped node processes, each started, killed, paused and started again on demand, with
// every connection between two of them led through a relay of its own.
//
// The processes are those of `kv cluster` (src/local/node-process.ts), and so is the leash: a node ends when the
// process that started it is gone, by whatever death, paused or not. So nothing is left running, even after kill -9 of
// the harness.

import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isFree } from '../../src/local/client-ports.ts'
import type { NodeView } from '../../src/local/node-messages.ts'
import { type NodeEvent, SupervisedNode } from '../../src/local/supervised-node.ts'
import type { Founding, ListenAddress } from '../../src/server/types.ts'
import { HttpClient } from './http.ts'
import { CLIENTS, Network } from './network.ts'

const HOST = '127.0.0.1'
/** For all nodes to become voters at the start, and again after the faults. */
export const READY_LIMIT_MS = 60_000
const POLL_MS = 25

export type ClusterEvent =
  | { readonly kind: 'start' | 'kill' | 'pause' | 'resume' | 'wipe'; readonly node: string }
  | {
      readonly kind: 'view'
      readonly node: string
      readonly view: NodeView
      readonly before: NodeView | undefined
    }
  /** It ended. `wanted`: because of something that was done to it. */
  | { readonly kind: 'ended'; readonly node: string; readonly reason: string; readonly wanted: boolean }

export interface ClusterOptions {
  /** Data and logs of the nodes go here. */
  readonly dir: string
  /** The voters of the beginning … */
  readonly nodes: readonly string[]
  /** … and names that may be added later. */
  readonly spares: readonly string[]
  /** First port to try for the APIs. */
  readonly portFrom: number
  readonly env: (name: string) => NodeJS.ProcessEnv
  readonly onEvent: (event: ClusterEvent) => void
}

/** Until the function returned is called, it may end by itself. */
export function excuse(node: LocalNode): () => void {
  let excused = true
  node.excuses++
  return () => {
    if (excused) node.excuses--
    excused = false
  }
}

/** One name of the cluster; its process comes and goes, and after a wipe its replica id is another. */
export interface LocalNode {
  readonly name: string
  /** Of its API, whether it runs or not. */
  readonly port: number
  readonly process: SupervisedNode
  /** host:port of its peer listener while it listens. */
  peer: ListenAddress | undefined
  /**
   * How it may be started. A founder founds once; one that is not a member yet joins; a replacement drops the replica
   * of its name, if there is one.
   */
  stage: 'founder' | 'joins' | 'replaces' | 'member' | 'outside'
  /** Faults at work under which it may end itself, as its message says: then nobody is alarmed. */
  excuses: number
}

export class LocalCluster {
  readonly network: Network
  readonly nodes: readonly LocalNode[]
  readonly #options: ClusterOptions
  readonly #api = new HttpClient()

  static async start(options: ClusterOptions): Promise<LocalCluster> {
    const names = [...options.nodes, ...options.spares]
    const nodes: LocalNode[] = []
    const ports = await freePorts(options.portFrom, 2 * names.length)
    const find = (name: string): LocalNode | undefined => nodes.find((node) => node.name === name)
    const network = await Network.create(names, {
      peer: (name) => find(name)?.peer,
      api: (name) => {
        const node = find(name)
        return node?.peer === undefined ? undefined : { host: HOST, port: node.port }
      },
      frontPort: (name) => ports[names.length + names.indexOf(name)] ?? 0,
    })
    for (const [at, name] of names.entries()) {
      const hear = (event: NodeEvent): void => cluster.#hear(node, event)
      const process = new SupervisedNode(name, options.dir, hear, options.env(name))
      const stage = at === 0 ? 'founder' : at < options.nodes.length ? 'joins' : 'outside'
      const node: LocalNode = { name, port: ports[at] ?? 0, process, peer: undefined, stage, excuses: 0 }
      nodes.push(node)
    }
    const cluster = new LocalCluster(options, network, nodes)
    for (const node of cluster.members) cluster.start(node)
    return cluster
  }

  private constructor(options: ClusterOptions, network: Network, nodes: readonly LocalNode[]) {
    this.#options = options
    this.network = network
    this.nodes = nodes
  }

  node(name: string): LocalNode {
    const node = this.nodes.find((candidate) => candidate.name === name)
    if (node === undefined) throw new RangeError(`no node ${name}`)
    return node
  }

  /** Those that belong to the cluster, or shall, dead or alive. */
  get members(): LocalNode[] {
    return this.nodes.filter(({ stage }) => stage !== 'outside')
  }

  get running(): LocalNode[] {
    return this.members.filter(({ process }) => process.pid !== undefined && !process.paused)
  }

  /** The running node that led last, by term: a deposed leader that does not know it yet has a lower one. */
  get leader(): LocalNode | undefined {
    return this.running
      .filter(({ process }) => process.view?.role === 'leader')
      .sort((a, b) => (b.process.view?.term ?? 0) - (a.process.view?.term ?? 0))[0]
  }

  get logFiles(): string[] {
    return this.nodes.map(({ process }) => process.logFile).filter((file) => existsSync(file))
  }

  /** Nothing where it runs, or has been taken out of the cluster: a fault that hit it before may be healed later. */
  start(node: LocalNode): void {
    if (node.process.pid !== undefined || node.stage === 'outside') return
    this.#options.onEvent({ kind: 'start', node: node.name })
    node.process.start({
      name: node.name,
      dataDir: node.process.dataDir,
      listen: { host: HOST, port: node.port },
      peerListen: { host: HOST, port: 0 },
      founding: this.#foundingOf(node),
      peers: this.network.addressesFor(node.name),
    })
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(node: LocalNode): Promise<void> {
    if (node.process.pid === undefined) return
    this.#options.onEvent({ kind: 'kill', node: node.name })
    await node.process.kill()
  }

  pause(node: LocalNode): void {
    this.#options.onEvent({ kind: 'pause', node: node.name })
    node.process.pause()
  }

  resume(node: LocalNode): void {
    this.#options.onEvent({ kind: 'resume', node: node.name })
    node.process.resume()
  }

  /** Asks it to stop, as SIGTERM does: leadership is handed over first. */
  async stop(node: LocalNode): Promise<void> {
    await node.process.stop({ handOver: true })
  }

  /**
   * Takes its data away (moved aside, for whoever looks for a cause later). It can come back only as a fresh replica.
   */
  wipe(node: LocalNode): void {
    if (node.process.pid !== undefined) throw new Error(`${node.name} runs`)
    this.#options.onEvent({ kind: 'wipe', node: node.name })
    const { dataDir } = node.process
    for (let number = 1; existsSync(dataDir); number++) {
      if (!existsSync(`${dataDir}.old-${number}`)) renameSync(dataDir, `${dataDir}.old-${number}`)
    }
    // Also where its name is free by now: whom it asks may not know that yet.
    if (node.stage !== 'outside') node.stage = 'replaces'
  }

  /** A majority is at work without it: its replica may be lost. */
  isDispensable(node: LocalNode): boolean {
    const ready = this.members.filter((other) => other !== node && other.process.ready)
    return ready.length > this.members.length / 2
  }

  /** Asks a node's API as a client would, past every relay. */
  ask(node: LocalNode, method: 'GET' | 'POST' | 'DELETE', target: string, body?: object, timeoutMs = 5_000) {
    const content =
      body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
    return this.#api.ask(node.port, { method, target, ...content }, timeoutMs)
  }

  /** Until every member is a ready voter. Resolves to what is missing when that takes too long. */
  async becomesReady(signal: AbortSignal, limitMs = READY_LIMIT_MS): Promise<string | undefined> {
    const deadline = performance.now() + limitMs
    for (;;) {
      const missing = this.members.filter(({ process }) => !process.ready)
      if (missing.length === 0) return undefined
      if (signal.aborted) return 'interrupted'
      if (performance.now() > deadline) return missing.map(whyNotReady).join('; ')
      await sleep(POLL_MS)
    }
  }

  /** Ends every process and relay, paused ones too. */
  async close(): Promise<void> {
    this.#api.close()
    await Promise.all(this.nodes.map(({ process }) => process.kill()))
    await this.network.close()
  }

  deleteData(): void {
    for (const { process } of this.nodes) {
      rmSync(process.dataDir, { recursive: true, force: true })
      for (let number = 1; existsSync(`${process.dataDir}.old-${number}`); number++)
        rmSync(`${process.dataDir}.old-${number}`, { recursive: true, force: true })
    }
  }

  #foundingOf(node: LocalNode): Founding {
    if (node.stage === 'member') return { kind: 'existing' }
    if (node.stage === 'founder')
      return { kind: existsSync(join(node.process.dataDir, 'IDENTITY')) ? 'existing' : 'bootstrap' }
    const urls = this.members.filter((other) => other !== node).map(({ port }) => `http://${HOST}:${port}`)
    return { kind: 'join', urls, replace: node.stage === 'replaces' }
  }

  #hear(node: LocalNode, event: NodeEvent): void {
    const { name } = node
    switch (event.kind) {
      case 'started':
        node.peer = { host: HOST, port: Number(event.peer.slice(event.peer.lastIndexOf(':') + 1)) }
        void this.network.link(CLIENTS, name).open()
        break
      case 'view':
        if (node.process.ready && node.stage !== 'outside') node.stage = 'member'
        this.#options.onEvent({ kind: 'view', node: name, view: event.view, before: event.before })
        break
      case 'ended': {
        node.peer = undefined
        void this.network.link(CLIENTS, name).shut()
        const { reason } = event
        const wanted = reason === 'killed' || reason === 'stopped' || node.excuses > 0
        this.#options.onEvent({ kind: 'ended', node: name, reason, wanted })
        break
      }
    }
  }
}

function whyNotReady({ name, process }: LocalNode): string {
  if (process.pid === undefined)
    return `${name} does not run (${process.lastExit?.reason ?? 'never started'})`
  if (process.paused) return `${name} is paused`
  return `${name}: ${process.view?.notReady.join(', ') ?? 'it has not said anything yet'}`
}

/** Below those that the system gives to outgoing connections: a node that is started again must find its own. */
async function freePorts(from: number, count: number): Promise<number[]> {
  const found: number[] = []
  for (let port = from; found.length < count && port < 65_536; port++)
    if (await isFree(port)) found.push(port)
  return found
}
