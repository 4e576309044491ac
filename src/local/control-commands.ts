// What a supervisor does when `kv cluster …` asks for it over the control channel.

import { setTimeout as sleep } from 'node:timers/promises'
import { readyOnlyWithMajority, withAdvice } from './advice.ts'
import type { ClusterEvents } from './cluster-events.ts'
import type { ClusterStatus } from './cluster-status.ts'
import type { ControlReply, ControlRequest, NodeCommand } from './control-messages.ts'
import { failureOf } from './failure.ts'
import { type Lifecycle, LOOK_AGAIN_MS, type ManagedNode } from './lifecycle.ts'
import { hasNoMajority, majorityOf } from './majority.ts'
import { moveAside } from './move-aside.ts'
import { leaderAmong } from './node-view.ts'
import { PROGRAM } from './program-name.ts'
import { completeGroups } from './relays/mesh.ts'

/** Nodes that run and can find a leader have found one after this long. */
const MAJORITY_LIMIT_MS = 5000

/** The supervisor, as commands need it. */
export interface Commanded {
  readonly lifecycle: Lifecycle
  readonly events: ClusterEvents
  /** Looks whether the directory is still there. Whether the cluster ends, for that reason or another. */
  endWhenLost(): boolean
  status(): Promise<ClusterStatus>
  formed(): Promise<unknown>
  stop(): Promise<void>
  /** Resolves when each of these nodes has answered once. */
  firstAnswers(nodes: readonly ManagedNode[]): Promise<unknown>
  /** Writes cluster.json. Throws when that cannot be done; `trySave` does not. */
  save(): void
  trySave(): void
}

export type Refusal = ControlReply & { readonly ok: false }
type NodeRequest = ControlRequest & { readonly command: NodeCommand }

export class ControlCommands {
  readonly #cluster: Commanded
  #lastRejoin: Promise<unknown> = Promise.resolve()

  constructor(cluster: Commanded) {
    this.#cluster = cluster
  }

  async handle(request: ControlRequest): Promise<ControlReply> {
    const ends = this.#cluster.endWhenLost()
    if (ends && request.command !== 'stop' && request.command !== 'status') {
      return { ...refused(1, 'The cluster is being stopped.'), stopping: true }
    }
    const reply = await this.#obey(request)
    if (reply.ok && request.command !== 'status' && request.command !== 'formed')
      this.#cluster.events.emit({ kind: 'command', said: reply.said })
    return reply
  }

  async #obey(request: ControlRequest): Promise<ControlReply> {
    switch (request.command) {
      case 'status':
        return { ok: true, said: this.#failures().join('\n'), status: await this.#cluster.status() }
      case 'formed':
        try {
          await this.#cluster.formed()
        } catch (error) {
          return { ...refused(1, failureOf(error).message), stopping: true }
        }
        return { ok: true, said: '', status: await this.#cluster.status() }
      case 'stop':
        await this.#cluster.stop()
        return done('The cluster is stopped.')
      case 'partition':
        return this.#partition(request.groups, request.reset)
      case 'heal':
        this.#cluster.lifecycle.mesh?.heal()
        return done('Every node reaches every other again.')
      default: {
        const node = this.#nodeNamed(request.node)
        return 'ok' in node ? node : this.#obeyForNode(request, node)
      }
    }
  }

  get #nodes(): readonly ManagedNode[] {
    return this.#cluster.lifecycle.nodes
  }

  /** `leader` and `follower` stand for the node that is that just now. */
  #nodeNamed(name: string): ManagedNode | Refusal {
    const named = this.#nodes.find((node) => node.name === name)
    if (named !== undefined) return named
    const running = this.#nodes.filter(({ process }) => !process.paused)
    if (name === 'leader') return leaderAmong(running) ?? refused(1, 'None of the nodes leads just now.')
    if (name === 'follower') {
      const follower = running.find(({ view }) => view?.role === 'follower')
      return follower ?? refused(1, 'None of the nodes follows just now.')
    }
    const names = this.#nodes.map((node) => node.name).join(', ')
    return refused(2, `There is no node ${name}. The nodes are ${names}; leader and follower name one, too.`)
  }

  /** A sentence for each node that ended although no command had asked for it. */
  #failures(): string[] {
    return this.#nodes.flatMap((node) => {
      const { lastExit } = node.process
      return lastExit?.failed ? [withAdvice(`${node.name} ended: ${lastExit.reason}`, node)] : []
    })
  }

  async #obeyForNode(request: NodeRequest, node: ManagedNode): Promise<ControlReply> {
    const { name, process: child } = node
    const { pid } = child
    switch (request.command) {
      case 'kill':
        if (pid === undefined) return refused(1, `${name} does not run.`)
        await child.kill()
        return done(`${name} is killed (it was process ${pid}).`)
      case 'pause':
        if (process.platform === 'win32') return refused(1, 'Windows cannot pause a process.')
        if (pid === undefined) return refused(1, `${name} does not run.`)
        child.pause()
        return done(`${name} is paused (process ${pid} is stopped, its connections stay).`)
      case 'resume':
        if (pid === undefined)
          return refused(1, `${name} does not run; ${PROGRAM} cluster restart ${name} starts it.`)
        child.resume()
        return done(`${name} runs again.`)
      case 'restart':
        return this.#whileBusy(node, () => this.#restart(node))
      case 'rejoin':
        return this.#whileBusy(node, () => this.#afterRejoins(() => this.#rejoin(node, request.evenHealthy)))
    }
  }

  async #whileBusy(node: ManagedNode, work: () => Promise<ControlReply>): Promise<ControlReply> {
    if (node.busy) return refused(1, `${node.name} is being started by another command.`)
    node.busy = true
    try {
      return await work()
    } finally {
      node.busy = false
    }
  }

  async #restart(node: ManagedNode): Promise<ControlReply> {
    const { lifecycle } = this.#cluster
    await node.process.stop({ handOver: true })
    await lifecycle.launch(node)
    this.#cluster.trySave()
    // A user who restarts one node after the other cannot wait for a majority at the first one.
    const problem = await lifecycle.becomesReady(node, () => hasNoMajority(node, this.#nodes))
    if (problem !== undefined) return refused(1, withAdvice(problem, node))
    await this.#cluster.firstAnswers([node])
    const { ready, pid } = node.process
    return done(ready ? `${node.name} is ready (process ${pid}).` : readyOnlyWithMajority(node))
  }

  /**
   * One rejoin at a time, for all nodes together: each relies on the data of all other nodes, from its first look to
   * its end.
   */
  #afterRejoins(rejoin: () => Promise<ControlReply>): Promise<ControlReply> {
    const reply = this.#lastRejoin.then(rejoin)
    this.#lastRejoin = reply.catch(() => {})
    return reply
  }

  async #rejoin(node: ManagedNode, evenHealthy: boolean): Promise<ControlReply> {
    const { lifecycle } = this.#cluster
    const { name, process } = node
    const said = `${name} is healthy. rejoin ends it, moves its data aside and makes it a fresh replica.`
    const healthy = { ...refused(2, said), healthy: name }
    if (process.ready && !evenHealthy) return healthy
    const problem = await this.#whyNotWithout(node)
    if (problem !== undefined) return refused(5, problem)
    // It may be healthy and have had no leader for a moment, like the others.
    if (!evenHealthy && (await this.#findsLeader(node))) return healthy
    await process.kill()
    if (this.#cluster.endWhenLost()) return refused(1, 'The cluster is being stopped.')
    // The stage is saved before the data is moved. If the start is interrupted between the two, the next start finds
    // the old replica; after the move, the next start knows that a new replica may take its place.
    node.stage = 'replacing'
    this.#cluster.save()
    const aside = moveAside(process.dataDir)
    await lifecycle.launch(node)
    this.#cluster.trySave()
    const failure = await lifecycle.becomesReady(node)
    if (failure === undefined) await this.#cluster.firstAnswers([node])
    const kept = aside === undefined ? '' : ` Its old data is in ${aside}.`
    return failure === undefined
      ? done(`${name} is a voter again, as a new replica (process ${process.pid}).${kept}`)
      : refused(1, `${failure}.${kept}`)
  }

  /**
   * The change of membership needs a majority of the voters, and the old replica is gone by then. So nothing is changed
   * before the other nodes have a majority. They may still be electing a leader, or one of them may be starting.
   */
  async #whyNotWithout(node: ManagedNode): Promise<string | undefined> {
    const deadline = performance.now() + MAJORITY_LIMIT_MS
    let majority = await majorityOf(this.#nodes, node)
    while (majority === 'possible' && performance.now() < deadline) {
      await sleep(LOOK_AGAIN_MS)
      majority = await majorityOf(this.#nodes, node)
    }
    if (majority === 'there') return undefined
    return (
      `${node.name} can only rejoin while a majority of the voters of the cluster (${PROGRAM} member list) runs without it, and that is not so ` +
      'now. Start the others first. Nothing was changed.'
    )
  }

  /** False as soon as it cannot find one, or when the time is up. */
  async #findsLeader({ process }: ManagedNode): Promise<boolean> {
    const outcome = (): boolean | undefined =>
      process.ready ? true : process.pid === undefined || process.paused ? false : undefined
    return (await this.#cluster.lifecycle.until(outcome, MAJORITY_LIMIT_MS)) ?? false
  }

  #partition(groups: readonly (readonly string[])[], reset: boolean): ControlReply {
    const { mesh } = this.#cluster.lifecycle
    if (mesh === undefined) {
      return refused(1, 'This cluster runs with --direct, without the relays that could be cut.')
    }
    const nodes = groups.map((group) => group.map((name) => this.#nodeNamed(name)))
    const refusal = nodes.flat().find((node) => 'ok' in node)
    if (refusal !== undefined) return refusal
    const named = nodes.map((group) => group.flatMap((node) => ('ok' in node ? [] : node.name)))
    const complete = completeGroups(
      this.#nodes.map(({ name }) => name),
      named,
    )
    if (typeof complete === 'string') return refused(2, `No partition: ${complete}.`)
    mesh.partition(complete, reset)
    return done(
      `Cut: ${complete.map((group) => group.join(' ')).join(' | ')}. ${PROGRAM} cluster heal undoes it.`,
    )
  }
}

function done(said: string): ControlReply {
  return { ok: true, said }
}

export function refused(exitCode: number, said: string): Refusal {
  return { ok: false, exitCode, said }
}
