// The commands of `kv cluster …` that break nodes and the network between them, and mend them.

import type {
  ControlError,
  ControlReply,
  FaultLink,
  FaultRequest,
  NodeCommand,
} from '../../operations/documents/supervisor.ts'
import { isObject, tryParseJson } from '../../operations/forms/decode.ts'
import { requestHttp } from '../../system/http-request.ts'
import type { ClusterNodes } from '../cluster/cluster-nodes.ts'
import { failed, succeeded } from '../cluster/control-protocol.ts'
import { checkQuorum, type QuorumState } from '../cluster/quorum-check.ts'
import { backUpDirectory, describeUse } from '../directory/data-directory.ts'
import { leaderAmong } from '../node/node-view.ts'
import { readyOnlyWithQuorum, withRecoveryHint } from '../node/recovery-hints.ts'
import type { SupervisedNode } from '../node/supervised-node.ts'
import { poll } from '../poll.ts'
import { PROGRAM } from '../program-name.ts'
import { completeGroups, type RelayMesh } from '../relays/mesh.ts'

/** Time for nodes that run, or are starting on a busy machine, to find a leader. */
const QUORUM_TIMEOUT_MS = 30_000
const QUORUM_INTERVAL_MS = 250
/** Time for a node to load its API and check a password, which takes seconds on a busy machine. */
const RIGHTS_TIMEOUT_MS = 30_000
const OK = 200
const UNAUTHENTICATED = 401
const PERMISSION_DENIED = 403

export class ControlCommands {
  readonly #cluster: ClusterNodes
  #lastRejoin: Promise<unknown> = Promise.resolve()

  constructor(cluster: ClusterNodes) {
    this.#cluster = cluster
  }

  async execute(request: FaultRequest): Promise<ControlReply> {
    switch (request.command) {
      case 'partition':
        return this.#partition(request.groups, request.reset)
      case 'cut':
        return this.#cut(request)
      case 'heal':
        if (request.link !== undefined) return this.#join(request.link)
        this.#cluster.mesh?.heal()
        return succeeded('healed: every node reaches every other node')
      case 'rejoin': {
        const node = this.#nodeNamed(request.node)
        if ('ok' in node) return node
        const foreign = this.#cluster.foreignNodes()
        if (foreign !== undefined) return failed(1, `nothing was changed: ${foreign}`)
        return whileBusy(node, () => this.#afterOtherRejoins(() => this.#rejoin(node, request)))
      }
      default: {
        const node = this.#nodeNamed(request.node)
        return 'ok' in node ? node : this.#changeProcess(request.command, node)
      }
    }
  }

  get #nodes(): readonly SupervisedNode[] {
    return this.#cluster.nodes
  }

  /** `leader` and `follower` name a node that has this role now. */
  #nodeNamed(name: string): SupervisedNode | ControlError {
    const named = this.#nodes.find((node) => node.name === name)
    if (named !== undefined) return named
    const running = this.#nodes.filter(({ paused }) => !paused)
    if (name === 'leader') return leaderAmong(running) ?? failed(1, 'no node leads now')
    if (name === 'follower')
      return running.find(({ view }) => view?.role === 'follower') ?? failed(1, 'no node follows now')
    const names = this.#nodes.map((node) => node.name).join(', ')
    return failed(2, `there is no node ${name}; use ${names}, leader or follower`)
  }

  async #changeProcess(command: NodeCommand, node: SupervisedNode): Promise<ControlReply> {
    const { name, pid } = node
    if (command === 'restart') return whileBusy(node, () => this.#restart(node))
    if (pid === undefined)
      return failed(1, `${name} does not run; start it with ${PROGRAM} cluster restart ${name}`)
    switch (command) {
      case 'kill':
        await node.kill()
        return succeeded(`${name} is killed (process ${pid})`)
      case 'pause':
        if (process.platform === 'win32') return failed(1, 'Windows cannot pause a process')
        node.pause()
        return succeeded(`${name} is paused (process ${pid}); its connections stay open`)
      case 'resume':
        node.resume()
        return succeeded(`${name} runs again (process ${pid})`)
    }
  }

  async #restart(node: SupervisedNode): Promise<ControlReply> {
    const foreign = this.#cluster.foreignNodes()
    if (foreign !== undefined) return failed(1, foreign)
    await node.stop({ transferLeadership: true })
    await this.#cluster.launch(node)
    // A user who restarts one node after the other cannot wait for a quorum at the first one.
    const problem = await this.#cluster.becomesReady(node, { needsQuorum: false })
    if (problem !== undefined) return failed(1, withRecoveryHint(problem, node))
    return succeeded(node.ready ? `${node.name} is ready (process ${node.pid})` : readyOnlyWithQuorum(node))
  }

  /** Runs one rejoin at a time: each relies on the data of all other nodes until it ends. */
  #afterOtherRejoins(rejoin: () => Promise<ControlReply>): Promise<ControlReply> {
    const reply = this.#lastRejoin.then(rejoin)
    this.#lastRejoin = reply.catch(() => {})
    return reply
  }

  async #rejoin(
    node: SupervisedNode,
    { evenIfHealthy, authorization }: Extract<FaultRequest, { command: 'rejoin' }>,
  ): Promise<ControlReply> {
    const { name } = node
    const consequence = `${name} is healthy; rejoin ends it, moves its data aside and makes it a fresh replica`
    const healthy: ControlError = { ...failed(2, consequence), healthy: name }
    if (node.ready && !evenIfHealthy) return healthy
    // The change of membership needs a quorum of the other voters, and the old replica is gone by then.
    if ((await this.#quorumWithout(node)) !== 'available')
      return failed(
        5,
        `${name} can rejoin only while a majority of the voters (${PROGRAM} member list) runs without it; nothing was changed; start the others first`,
      )
    const refusal = await this.#findRefusal(node, authorization)
    if (refusal !== undefined) return refusal
    // It may be healthy and have had no leader for a moment, like the others.
    if (!evenIfHealthy && (await this.#findsLeader(node))) return healthy
    await node.kill()
    if (this.#cluster.stopping) return failed(1, 'the cluster is being stopped')
    const use = describeUse(node.dataDir)
    if (use !== undefined) return failed(1, `${use}; nothing was changed`)
    // The stage is saved before the data is moved: a start after a crash in between finds the old replica, and a start
    // after the move knows that a new replica may replace it.
    node.stage = 'replacing'
    this.#cluster.save({ running: true })
    const backup = backUpDirectory(node.dataDir)
    await this.#cluster.launch(node, { authorization })
    const problem = await this.#cluster.becomesReady(node)
    const kept = backup === undefined ? '' : `; its old data is in ${backup}`
    if (problem !== undefined) return failed(1, `${problem}${kept}`)
    return succeeded(`${name} is a voter again, as a new replica (process ${node.pid})${kept}`)
  }

  /** Why the other nodes refuse a replica that joins with these credentials. A certificate of a node needs none. */
  async #findRefusal(
    { name, requests }: SupervisedNode,
    authorization: string | undefined,
  ): Promise<ControlError | undefined> {
    const other = this.#nodes.find((candidate) => candidate.name !== name && candidate.ready)
    if (other === undefined || requests !== undefined) return undefined
    const options = { timeoutMs: RIGHTS_TIMEOUT_MS, authorization }
    // Only a user with the permission admin may see all users.
    const reply = await requestHttp(`${other.url}/v1/auth/users`, options).catch(() => undefined)
    if (reply?.status === OK) return undefined
    const howToJoin = 'nothing was changed; give --user NAME and KV_PASSWORD, or --token'
    if (reply?.status === UNAUTHENTICATED) {
      const why = `${name} joins only as a user with the permission admin, because rights are checked`
      return failed(8, `${why}; ${howToJoin}`)
    }
    const problem = tryParseJson(reply?.text ?? '')
    const detail = isObject(problem) ? problem.detail : 'no answer'
    if (reply?.status === PERMISSION_DENIED)
      return failed(8, `no permission to add a node to the cluster: ${detail}; ${howToJoin}`)
    return failed(5, `${other.name} did not say whether ${name} may join (${detail}); nothing was changed`)
  }

  /** Waits while the other nodes may still elect a leader, or one of them is starting. */
  async #quorumWithout(node: SupervisedNode): Promise<QuorumState | undefined> {
    const check = async (): Promise<QuorumState | undefined> => {
      const quorum = await checkQuorum(this.#nodes, node)
      return quorum === 'possible' ? undefined : quorum
    }
    return poll(check, { timeoutMs: QUORUM_TIMEOUT_MS, intervalMs: QUORUM_INTERVAL_MS })
  }

  async #findsLeader(node: SupervisedNode): Promise<boolean> {
    const check = (): boolean | undefined =>
      node.ready ? true : node.pid === undefined || node.paused ? false : undefined
    return (await this.#cluster.poll(check, QUORUM_TIMEOUT_MS)) ?? false
  }

  #partition(groups: readonly (readonly string[])[], reset: boolean): ControlReply {
    const { mesh } = this.#cluster
    if (mesh === undefined) return WITHOUT_RELAYS
    const nodes = groups.map((group) => group.map((name) => this.#nodeNamed(name)))
    const error = nodes.flat().find((node) => 'ok' in node)
    if (error !== undefined) return error
    const named = nodes.map((group) => group.map((node) => ('name' in node ? node.name : '')))
    const complete = completeGroups(
      this.#nodes.map(({ name }) => name),
      named,
    )
    if (typeof complete === 'string') return failed(2, complete)
    mesh.partition(complete, reset)
    const cut = complete.map((group) => group.join(' ')).join(' | ')
    return succeeded(`cut: ${cut}; ${UNDO}`)
  }

  #cut(link: FaultLink): ControlReply {
    return this.#changeLink(link, (mesh, { name: sender }, { name: receiver }) => {
      mesh.cut(sender, receiver)
      if (link.both) mesh.cut(receiver, sender)
      return link.both
        ? `cut: no message passes between ${sender} and ${receiver}; ${UNDO}`
        : `cut: no message of ${sender} reaches ${receiver}; ${UNDO}`
    })
  }

  #join(link: FaultLink): ControlReply {
    return this.#changeLink(link, (mesh, { name: sender }, { name: receiver }) => {
      mesh.join(sender, receiver)
      if (link.both) mesh.join(receiver, sender)
      return link.both
        ? `healed: ${sender} and ${receiver} reach each other`
        : `healed: messages of ${sender} reach ${receiver}`
    })
  }

  /** `change` returns the message for a person. */
  #changeLink(
    { from, to }: FaultLink,
    change: (mesh: RelayMesh, sender: SupervisedNode, receiver: SupervisedNode) => string,
  ): ControlReply {
    const { mesh } = this.#cluster
    if (mesh === undefined) return WITHOUT_RELAYS
    const [sender, receiver] = [this.#nodeNamed(from), this.#nodeNamed(to)]
    if ('ok' in sender) return sender
    if ('ok' in receiver) return receiver
    if (sender === receiver) return failed(2, `${sender.name} has no link to itself; name two nodes`)
    return succeeded(change(mesh, sender, receiver))
  }
}

const WITHOUT_RELAYS = failed(1, 'this cluster runs without relays; start it without --direct for partitions')
const UNDO = `undo it with ${PROGRAM} cluster heal`

async function whileBusy(node: SupervisedNode, change: () => Promise<ControlReply>): Promise<ControlReply> {
  if (node.busy) return failed(1, `another command starts ${node.name} now; try again when it has ended`)
  node.busy = true
  try {
    return await change()
  } finally {
    node.busy = false
  }
}
