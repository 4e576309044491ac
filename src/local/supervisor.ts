// The supervisor of a local cluster: starts one process per node, leads their peer connections through relays, does
// what `kv cluster` commands ask, and writes cluster.json. It never restarts a node by itself: a node that died shows
// what a cluster is like without it.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { clusterIn, holdsNode } from '../server/holds-node.ts'
import { randomId } from '../server/random-id.ts'
import type { Founding, ListenAddress } from '../server/types.ts'
import { becomesFree, isFree, ORPHANS_LIMIT_MS } from './client-ports.ts'
import {
  CLUSTER_FILE,
  type ClusterFile,
  type ControlAddress,
  DEFAULT_DATA,
  readClusterFile,
  type Stage,
  writeClusterFile,
} from './cluster-file.ts'
import { type ClusterStatus, clusterStatus, FIRST_ANSWER_LIMIT_MS, faultsOf } from './cluster-status.ts'
import type { ControlReply, ControlRequest, NodeCommand } from './control-messages.ts'
import { type ControlServer, startControlServer } from './control-server.ts'
import { directoryId, fileId } from './directory-id.ts'
import { openDoor } from './door.ts'
import { Failure, failureOf } from './failure.ts'
import type { PeerAddresses } from './node-messages.ts'
import { completeGroups, createRelayMesh, type RelayMesh } from './relays/mesh.ts'
import { shellWord } from './shell-word.ts'
import { StoppedGuard } from './stopped-guard.ts'
import { type NodeEvent, SupervisedNode } from './supervised-node.ts'
import { LOCK_FILE, names, type OwnFiles, releaseLock, takeLock } from './supervisor-lock.ts'
import { anotherAnswers, asked, knownVoters, type Local, type Voter } from './voters.ts'

export const NODES_MAX = 9
const HOST = '127.0.0.1'
const DEFAULT_NODES = 3
const DEFAULT_PORT = 7301
/** For a whole cluster to become ready, and for one node after a restart. */
const READY_LIMIT_MS = 60_000
/** Nodes that run have found a leader after this long, if they can. */
const MAJORITY_LIMIT_MS = 5000
/** What no node tells by itself is asked for again after this long. */
const LOOK_AGAIN_MS = 250
const URLS_UNKNOWN =
  'The nodes have not heard at which URLs the others are now, so clients may look for them where they were before.'
/** How soon it is noticed that the directory is not where it was. */
const HOME_LOOK_MS = 250

export interface SupervisorOptions {
  /** Absolute. */
  readonly dataDir: string
  /** undefined: as many as there are, or three. */
  readonly nodes: number | undefined
  /** Client port of n1. undefined: the one in use, or 7301. */
  readonly port: number | undefined
  /** Without relays: peers reach each other directly, and partitions are not possible. */
  readonly direct: boolean
}

/** What happens to the cluster, for those who watch. */
export type ClusterEvent =
  | { readonly kind: 'node'; readonly name: string; readonly event: NodeEvent }
  | { readonly kind: 'command'; readonly said: string }
  /** The directory is not where it was; the cluster ends. */
  | { readonly kind: 'lost' }
  /** cluster.json could not be written. */
  | { readonly kind: 'unsaved'; readonly reason: string }

export interface Formed {
  readonly status: ClusterStatus
  /** What keeps single nodes of an existing cluster from serving; the others do. */
  readonly problems: readonly string[]
}

type Refusal = ControlReply & { readonly ok: false }
type NodeRequest = ControlRequest & { readonly command: NodeCommand }

interface Place {
  readonly node: SupervisedNode
  readonly port: number
  readonly url: string
  /** Of its peer listener; 0 until the system has chosen it. */
  peerPort: number
  /** It listens at `peerPort` now. */
  listening: boolean
  stage: Stage
  /** A command that takes its time is at work on this node. */
  busy: boolean
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #directory: string | undefined
  #own: OwnFiles
  readonly #self: ControlAddress
  readonly #control: ControlServer
  readonly #places: readonly Place[]
  readonly #watchers = new Set<(event: ClusterEvent) => void>()
  readonly #stopped = Promise.withResolvers<void>()
  readonly #guard: StoppedGuard
  readonly #closeDoor: () => void
  /**
   * Which one nodes with empty directories found or enter: at the addresses of the others somebody else's may answer.
   */
  readonly #meant: string
  #mesh: RelayMesh | undefined
  #clusterId: string | null
  #formed: Promise<Formed> | undefined
  #lastRejoin: Promise<unknown> = Promise.resolve()
  #stopping = false
  #isLost = false
  #watch: NodeJS.Timeout | undefined

  /** Takes the directory and starts the processes. The result says who holds the directory when somebody does. */
  static async start(options: SupervisorOptions): Promise<Supervisor | { readonly running: ControlAddress }> {
    mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
    const token = randomBytes(24).toString('hex')
    const starting = Promise.withResolvers<Supervisor>()
    // Nobody may have asked.
    starting.promise.catch(() => {})
    const directory = directoryId(options.dataDir)
    const control = await startControlServer(token, directory, async (request) => {
      const supervisor = await starting.promise.catch((error: unknown) => failureOf(error))
      if (supervisor instanceof Failure) return { ...refused(1, supervisor.message), ended: true }
      return supervisor.#handle(request)
    })
    const self = { pid: process.pid, control: control.url, token }
    let supervisor: Supervisor | undefined
    try {
      const holder = await takeLock(options.dataDir, self)
      if (holder !== undefined) {
        control.close()
        return { running: holder }
      }
      const file = readClusterFile(options.dataDir)
      supervisor = new Supervisor(options, self, control, file, directory)
      await supervisor.#begin(file)
    } catch (error) {
      if (supervisor) await supervisor.#abandon()
      releaseLock(options.dataDir, self)
      control.close()
      starting.reject(error)
      // Somebody has just deleted what was there before.
      if (supervisor === undefined && directoryId(options.dataDir) !== directory)
        return Supervisor.start(options)
      throw error
    }
    starting.resolve(supervisor)
    return supervisor
  }

  private constructor(
    options: SupervisorOptions,
    self: ControlAddress,
    control: ControlServer,
    file: ClusterFile | undefined,
    directory: string | undefined,
  ) {
    this.#options = options
    this.#directory = directory
    this.#own = { lock: fileId(join(options.dataDir, LOCK_FILE)), cluster: undefined }
    this.#self = self
    this.#control = control
    this.#clusterId = file?.cluster_id ?? null
    this.#places = placesOf(options, file).map((place) => ({
      ...place,
      node: new SupervisedNode(place.name, options.dataDir, (node, event) => this.#hear(node, event)),
      listening: false,
      busy: false,
    }))
    const there = this.#places.flatMap(({ node }) => clusterIn(node.dataDir) ?? [])
    const said = file?.cluster_id ?? randomId()
    this.#meant = there.includes(said) ? said : (there[0] ?? said)
    this.#guard = new StoppedGuard()
    this.#closeDoor = openDoor(options.dataDir, () => this.#endWhenLost())
  }

  get dataDir(): string {
    return this.#options.dataDir
  }

  /** It has ended by itself because its directory was moved, replaced, emptied or deleted. */
  get isLost(): boolean {
    return this.#isLost
  }

  /** Resolves when every process has ended, the ports are free and the directory is released. */
  get stopped(): Promise<void> {
    return this.#stopped.promise
  }

  watch(watcher: (event: ClusterEvent) => void): void {
    this.#watchers.add(watcher)
  }

  status(): Promise<ClusterStatus> {
    return clusterStatus(this.#clusterId, this.#places)
  }

  /** Waits until every node is a voter that knows a leader. A new cluster forms whole or not at all. */
  formed(): Promise<Formed> {
    this.#formed ??= this.#form()
    return this.#formed
  }

  async #form(): Promise<Formed> {
    const founding = this.#clusterId === null
    const problems: string[] = []
    const checks = this.#places.map(async (place) => {
      const { node } = place
      const problem = await this.#becomesReady(
        place,
        async () => !founding && (await this.#hasNoMajority(place)),
      )
      if (problem === undefined) {
        if (!node.ready) problems.push(readyOnlyWithMajority(node))
        return
      }
      if (this.#stopping) throw new Failure(1, 'The cluster was stopped before it was ready.')
      if (founding) {
        throw new Failure(
          1,
          `The cluster could not be formed: ${problem}\nLogs: ${this.dataDir}. Another start goes on with it; kv cluster destroy deletes it.`,
        )
      }
      problems.push(withAdvice(problem, place))
    })
    try {
      await Promise.all(checks)
    } catch (error) {
      await this.stop()
      throw error
    }
    if (!(await this.#urlsKnown())) problems.push(URLS_UNKNOWN)
    problems.push(...this.#movedAndAway())
    return { status: await this.#firstAnswers(this.#places), problems }
  }

  /**
   * Clients learn from every node where the others are. After a start at other ports that is where they listened
   * before: in a copy of a directory, where the nodes of the original do. False when they do not hear of it in time.
   */
  #urlsKnown(): Promise<boolean> {
    const known = (): true | undefined => {
      const ready = this.#places.filter(({ node }) => node.ready)
      const all = ready.every(({ node: { view } }) =>
        ready.every(({ node, url }) => view?.urls[node.name] === url),
      )
      return all || this.#stopping || undefined
    }
    return this.#until<boolean>(known, READY_LIMIT_MS, () => false)
  }

  /** A node tells its URL itself: as long as it does not, the others name the one where it was before. */
  #movedAndAway(): string[] {
    const view = this.#places.find(({ node }) => node.ready)?.node.view
    return this.#places.flatMap(({ node: { name, ready }, url }) => {
      const before = view?.urls[name]
      if (ready || before === undefined || before === url) return []
      return `Until ${name} runs, clients look for ${name} at ${before}, where another cluster may be by now.`
    })
  }

  /** Whoever is told that nodes are ready asks them next, and must not find them slow to answer. */
  #firstAnswers(places: readonly Place[]): Promise<ClusterStatus> {
    return clusterStatus(this.#clusterId, places, FIRST_ANSWER_LIMIT_MS)
  }

  async stop(): Promise<void> {
    if (this.#stopping) return this.stopped
    this.#stopping = true
    clearInterval(this.#watch)
    await Promise.all(this.#places.map(({ node }) => node.stop({ handOver: false })))
    await this.#mesh?.close()
    this.#closeDoor()
    this.#guard.close()
    // As long as the address answers, nobody takes the lock for that of a dead one.
    if (!this.#isLost) this.#trySave(null)
    releaseLock(this.dataDir, this.#self)
    this.#control.close()
    this.#stopped.resolve()
  }

  /** The second Ctrl-C: no node is asked any more. */
  async killAll(): Promise<void> {
    await Promise.all(this.#places.map(({ node }) => node.kill()))
  }

  /** After a failed start: no processes, no relays. */
  async #abandon(): Promise<void> {
    clearInterval(this.#watch)
    await this.killAll()
    await this.#mesh?.close()
    this.#closeDoor()
    this.#guard.close()
  }

  async #begin(file: ClusterFile | undefined): Promise<void> {
    this.#watch = setInterval(() => this.#look(), HOME_LOOK_MS)
    // The nodes of a supervisor that was killed may be on their way out still.
    const patienceMs = file?.supervisor ? ORPHANS_LIMIT_MS : 0
    for (const { node, port } of this.#places) {
      if (await becomesFree(port, patienceMs)) continue
      throw new Failure(
        1,
        `Port ${port}, the client port of ${node.name}, is taken by another program. ` +
          (file
            ? 'End that program, then try again.'
            : 'End that program, or choose other ports with --port.'),
      )
    }
    if (!this.#options.direct) {
      const names = this.#places.map(({ node }) => node.name)
      this.#mesh = await createRelayMesh(names, (name) => this.#peerListener(name))
    }
    // The plan comes before the first node: whenever the supervisor ends, the next one knows what it may find.
    this.#save(this.#self)
    const founds = this.#clusterId === null && !this.#places.some(({ node }) => holdsNode(node.dataDir))
    for (const place of this.#places) {
      const isFirst = founds && place === this.#places[0]
      await this.#launch(place, isFirst ? { kind: 'bootstrap', clusterId: this.#meant } : undefined)
    }
    this.#save(this.#self)
  }

  async #launch(place: Place, founding: Founding = this.#foundingOf(place)): Promise<void> {
    // The system gives such ports to outgoing connections too: one may have taken it in the meantime.
    if (place.peerPort !== 0 && !(await isFree(place.peerPort))) place.peerPort = 0
    // Whoever stops the cluster meanwhile has found no process to end.
    if (this.#endWhenLost()) throw new Failure(1, 'The cluster is being stopped.')
    place.node.start({
      name: place.node.name,
      dataDir: place.node.dataDir,
      listen: { host: HOST, port: place.port },
      peerListen: { host: HOST, port: place.peerPort },
      founding,
      peers: this.#peersOf(place.node.name),
    })
    this.#guard.watch(this.#places.flatMap(({ node }) => node.pid ?? []))
  }

  #foundingOf(place: Place): Founding {
    if (place.stage === 'member') return { kind: 'existing' }
    const urls = this.#places.filter((other) => other !== place).map(({ url }) => url)
    return urls.length === 0
      ? { kind: 'existing' }
      : { kind: 'join', urls, replace: place.stage === 'replacing', clusterId: this.#meant }
  }

  /**
   * Where the node dials its peers: relays that stay, or with --direct the places where they listen just now, and port
   * 0, which nobody has, for those that do not. In a copy of a directory the addresses of the configuration are those
   * of the original.
   */
  #peersOf(name: string): PeerAddresses {
    if (this.#mesh) return this.#mesh.addressesFor(name)
    const others = this.#places.filter(({ node }) => node.name !== name)
    return Object.fromEntries(
      others.map(({ node, listening, peerPort }) => [node.name, `${HOST}:${listening ? peerPort : 0}`]),
    )
  }

  #peerListener(name: string): ListenAddress | undefined {
    const place = this.#places.find(({ node }) => node.name === name)
    return place?.listening ? { host: HOST, port: place.peerPort } : undefined
  }

  #hear(node: SupervisedNode, event: NodeEvent): void {
    const place = this.#places.find((candidate) => candidate.node === node)
    if (place === undefined) return
    switch (event.kind) {
      case 'started':
        place.listening = true
        place.peerPort = Number(event.peer.slice(event.peer.lastIndexOf(':') + 1))
        this.#clusterId ??= event.clusterId
        if (!this.#mesh) for (const other of this.#places) other.node.setPeers(this.#peersOf(other.node.name))
        this.#trySave()
        break
      case 'view':
        if (place.stage !== 'member' && node.ready) {
          place.stage = 'member'
          this.#trySave()
        }
        break
      case 'ended':
        place.listening = false
        if (!this.#stopping) this.#trySave()
        break
    }
    this.#emit({ kind: 'node', name: node.name, event })
  }

  #emit(event: ClusterEvent): void {
    for (const watcher of [...this.#watchers]) watcher(event)
  }

  /**
   * Nodes open files by their path: in another directory of that name they would write into the data of others. Where
   * the files are deleted, or replaced by those of a backup, what they acknowledge from then on would be lost, and no
   * command would find them.
   */
  #isHome(): boolean {
    try {
      return directoryId(this.dataDir) === this.#directory && names(this.dataDir, this.#self, this.#own)
    } catch {
      // A file system that does not answer for a moment is no reason to end a cluster.
      return true
    }
  }

  #look(): void {
    if (this.#endWhenLost()) return
    try {
      for (const { node } of this.#places) node.endWhenAway()
    } catch {
      // As above.
    }
  }

  /** Whether it ends, for that reason or another. */
  #endWhenLost(): boolean {
    if (this.#stopping) return true
    if (this.#isHome()) return false
    this.#isLost = true
    this.#emit({ kind: 'lost' })
    void this.stop()
    return true
  }

  /**
   * What it says can wait for the next time: a start learns the rest from the directories of the nodes. So a full disk
   * ends nobody here.
   */
  #trySave(supervisor: ControlAddress | null = this.#self): void {
    if (!this.#isHome()) {
      this.#endWhenLost()
      return
    }
    try {
      this.#save(supervisor)
    } catch (error) {
      this.#emit({ kind: 'unsaved', reason: error instanceof Error ? error.message : String(error) })
    }
  }

  #save(supervisor: ControlAddress | null): void {
    const path = join(this.dataDir, CLUSTER_FILE)
    const content = {
      cluster_id: this.#clusterId,
      supervisor,
      nodes: this.#places.map(({ node, url, peerPort, stage }) => ({
        name: node.name,
        url,
        pid: node.pid ?? null,
        peer_port: peerPort === 0 ? null : peerPort,
        stage,
      })),
    }
    try {
      writeClusterFile(this.dataDir, content)
    } finally {
      // It may be in its place although it could not be made durable there.
      if (readClusterFile(this.dataDir)?.supervisor?.token === supervisor?.token)
        this.#own = { ...this.#own, cluster: fileId(path) }
    }
  }

  /** Looks whenever something changes at a node, until `found` says something or the time is up. */
  #until<T>(found: () => T | undefined, limitMs: number, late: () => T): Promise<T> {
    return new Promise((resolve) => {
      const look = (): void => {
        const result = found()
        if (result !== undefined) settle(result)
      }
      const settle = (result: T): void => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        resolve(result)
      }
      const timer = setTimeout(() => settle(late()), limitMs)
      this.#watchers.add(look)
      look()
    })
  }

  /** undefined when it is, or when that is `enough`; otherwise a sentence. */
  async #becomesReady({ node }: Place, enough = async () => false): Promise<string | undefined> {
    const deadline = performance.now() + READY_LIMIT_MS
    for (;;) {
      const state = await this.#until(
        () => (node.ready ? 'ready' : node.lastExit !== undefined ? 'ended' : undefined),
        LOOK_AGAIN_MS,
        () => 'coming',
      )
      if (state === 'ended') return `${node.name} ended: ${node.lastExit?.reason}`
      if (state === 'ready' || (await enough())) return undefined
      if (performance.now() < deadline) continue
      const reasons = [node.view?.notReady.join('; ') ?? 'it has not joined the cluster']
      reasons.push(...(await faultsOf(this.#places)))
      return `${node.name} runs but is not ready after ${READY_LIMIT_MS / 1000} s: ${reasons.join('\n  ')}`
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Commands

  async #handle(request: ControlRequest): Promise<ControlReply> {
    this.#endWhenLost()
    if (this.#stopping && request.command !== 'stop' && request.command !== 'status') {
      return { ...refused(1, 'The cluster is being stopped.'), stopping: true }
    }
    const reply = await this.#obey(request)
    if (reply.ok && request.command !== 'status' && request.command !== 'formed')
      this.#emit({ kind: 'command', said: reply.said })
    return reply
  }

  async #obey(request: ControlRequest): Promise<ControlReply> {
    switch (request.command) {
      case 'status':
        return { ok: true, said: this.#failures().join('\n'), status: await this.status() }
      case 'formed':
        try {
          await this.formed()
        } catch (error) {
          return { ...refused(1, failureOf(error).message), stopping: true }
        }
        return { ok: true, said: '', status: await this.status() }
      case 'stop':
        await this.stop()
        return done('The cluster is stopped.')
      case 'partition':
        return this.#partition(request.groups, request.reset)
      case 'heal':
        this.#mesh?.heal()
        return done('Every node reaches every other again.')
      default: {
        const place = this.#placeNamed(request.node)
        return 'ok' in place ? place : this.#obeyForNode(request, place)
      }
    }
  }

  /** `leader` and `follower` name whoever is that just now. */
  #placeNamed(name: string): Place | Refusal {
    const named = this.#places.find(({ node }) => node.name === name)
    if (named !== undefined) return named
    const running = this.#places.filter(({ node }) => node.view !== undefined && !node.paused)
    const leader = running
      .filter(({ node }) => node.view?.role === 'leader')
      .sort((a, b) => (a.node.view?.term ?? 0) - (b.node.view?.term ?? 0))
      .at(-1)
    if (name === 'leader') return leader ?? refused(1, 'None of the nodes leads just now.')
    if (name === 'follower') {
      const follower = running.find(({ node }) => node.view?.role === 'follower')
      return follower ?? refused(1, 'None of the nodes follows just now.')
    }
    const names = this.#places.map(({ node }) => node.name).join(', ')
    return refused(2, `There is no node ${name}. The nodes are ${names}; leader and follower name one, too.`)
  }

  /** A sentence for each node that did not end because somebody wanted it. */
  #failures(): string[] {
    return this.#places.flatMap((place) => {
      const { name, lastExit } = place.node
      return lastExit?.failed ? [withAdvice(`${name} ended: ${lastExit.reason}`, place)] : []
    })
  }

  async #obeyForNode(request: NodeRequest, place: Place): Promise<ControlReply> {
    const { node } = place
    const { name, pid } = node
    switch (request.command) {
      case 'kill':
        if (pid === undefined) return refused(1, `${name} does not run.`)
        await node.kill()
        return done(`${name} is killed (it was process ${pid}).`)
      case 'pause':
        if (process.platform === 'win32') return refused(1, 'Windows cannot pause a process.')
        if (pid === undefined) return refused(1, `${name} does not run.`)
        node.pause()
        return done(`${name} is paused (process ${pid} is stopped, its connections stay).`)
      case 'resume':
        if (pid === undefined)
          return refused(1, `${name} does not run; kv cluster restart ${name} starts it.`)
        node.resume()
        return done(`${name} runs again.`)
      case 'restart':
        return this.#whileBusy(place, () => this.#restart(place))
      case 'rejoin':
        return this.#whileBusy(place, () =>
          this.#afterRejoins(() => this.#rejoin(place, request.evenHealthy)),
        )
    }
  }

  async #whileBusy(place: Place, work: () => Promise<ControlReply>): Promise<ControlReply> {
    if (place.busy) return refused(1, `${place.node.name} is being started by another command.`)
    place.busy = true
    try {
      return await work()
    } finally {
      place.busy = false
    }
  }

  async #restart(place: Place): Promise<ControlReply> {
    const { node } = place
    await node.stop({ handOver: true })
    await this.#launch(place)
    this.#trySave()
    // Whoever brings back one node after the other cannot wait for a majority at the first.
    const problem = await this.#becomesReady(place, () => this.#hasNoMajority(place))
    if (problem !== undefined) return refused(1, withAdvice(problem, place))
    await this.#firstAnswers([place])
    return done(node.ready ? `${node.name} is ready (process ${node.pid}).` : readyOnlyWithMajority(node))
  }

  /** It serves, and cannot become ready. */
  async #hasNoMajority(place: Place): Promise<boolean> {
    return place.listening && (await this.#majority()) === 'impossible'
  }

  /** Of the voters that the configuration names, `without` the one at this place. */
  async #majority(without?: Place): Promise<'there' | 'possible' | 'impossible'> {
    const others = this.#places.filter((place) => place !== without)
    const running = others
      .filter(({ node }) => node.pid !== undefined && !node.paused)
      .map(({ node, url }) => ({ name: node.name, url }))
    const voters = await knownVoters(running)
    if (voters === undefined) return others.some(mayRun) ? 'possible' : 'impossible'
    const left = voters.filter(({ name }) => name !== without?.node.name)
    const states = await Promise.all(left.map((voter) => this.#stateOf(voter, running)))
    const isMajority = (count: number): boolean => count > voters.length / 2
    if (isMajority(states.filter((state) => state === 'ready').length)) return 'there'
    return isMajority(states.filter((state) => state !== 'away').length) ? 'possible' : 'impossible'
  }

  async #stateOf(voter: Voter, running: readonly Local[]): Promise<'ready' | 'coming' | 'away'> {
    const place = this.#places.find(({ node }) => node.name === voter.name)
    if (place !== undefined && (await isOrMayBe(place, voter)))
      return place.node.ready ? 'ready' : mayRun(place) ? 'coming' : 'away'
    const answer = await asked(voter, running)
    return answer === undefined ? 'away' : answer.knowsLeader ? 'ready' : 'coming'
  }

  /**
   * One after the other, whichever the nodes: each counts on the data of all others, from its first look to its end.
   */
  #afterRejoins(rejoin: () => Promise<ControlReply>): Promise<ControlReply> {
    const reply = this.#lastRejoin.then(rejoin)
    this.#lastRejoin = reply.catch(() => {})
    return reply
  }

  async #rejoin(place: Place, evenHealthy: boolean): Promise<ControlReply> {
    const { node } = place
    const { name } = node
    const said = `${name} is healthy. rejoin ends it, moves its data aside and makes it a fresh replica.`
    const healthy = { ...refused(2, said), healthy: name }
    if (node.ready && !evenHealthy) return healthy
    const problem = await this.#whyNotWithout(place)
    if (problem !== undefined) return refused(5, problem)
    // Perhaps it only had no leader, like the others.
    if (!evenHealthy && (await this.#findsLeader(node))) return healthy
    await node.kill()
    if (this.#endWhenLost()) return refused(1, 'The cluster is being stopped.')
    // Before its data is moved: with it, the next start finds the old replica; without, it knows that a new one may
    // take its place.
    place.stage = 'replacing'
    this.#save(this.#self)
    const aside = moveAside(node.dataDir)
    await this.#launch(place)
    this.#trySave()
    const failure = await this.#becomesReady(place)
    if (failure === undefined) await this.#firstAnswers([place])
    const kept = aside === undefined ? '' : ` Its old data is in ${aside}.`
    return failure === undefined
      ? done(`${node.name} is a voter again, as a new replica (process ${node.pid}).${kept}`)
      : refused(1, `${failure}.${kept}`)
  }

  /**
   * The change of membership needs a majority of the voters, and the old replica is gone by then: nothing is touched
   * before the others have one. They may still be electing their leader, or one of them be starting.
   */
  async #whyNotWithout(place: Place): Promise<string | undefined> {
    const deadline = performance.now() + MAJORITY_LIMIT_MS
    let majority = await this.#majority(place)
    while (majority === 'possible' && performance.now() < deadline) {
      await sleep(LOOK_AGAIN_MS)
      majority = await this.#majority(place)
    }
    if (majority === 'there') return undefined
    return (
      `${place.node.name} can only rejoin while a majority of the voters of the cluster (kv member list) runs without it, and that is not so ` +
      'now. Start the others first. Nothing was changed.'
    )
  }

  /** False as soon as it cannot, or when the time is up. */
  #findsLeader(node: SupervisedNode): Promise<boolean> {
    const outcome = (): boolean | undefined =>
      node.ready ? true : node.pid === undefined || node.paused ? false : undefined
    return this.#until(outcome, MAJORITY_LIMIT_MS, () => false)
  }

  #partition(groups: readonly (readonly string[])[], reset: boolean): ControlReply {
    if (this.#mesh === undefined) {
      return refused(1, 'This cluster runs with --direct, without the relays that could be cut.')
    }
    const places = groups.map((group) => group.map((name) => this.#placeNamed(name)))
    const refusal = places.flat().find((place) => 'ok' in place)
    if (refusal !== undefined) return refusal
    const named = places.map((group) => group.flatMap((place) => ('ok' in place ? [] : place.node.name)))
    const complete = completeGroups(
      this.#places.map(({ node }) => node.name),
      named,
    )
    if (typeof complete === 'string') return refused(2, `No partition: ${complete}.`)
    this.#mesh.partition(complete, reset)
    return done(`Cut: ${complete.map((group) => group.join(' ')).join(' | ')}. kv cluster heal undoes it.`)
  }
}

export function otherCount(dataDir: string, there: number, wanted: number): string {
  return (
    `The cluster in ${dataDir} has ${there} nodes, not ${wanted}. Leave --nodes out to go on with it, choose another --data for a ` +
    'second cluster, or delete this one with kv cluster destroy.'
  )
}

interface PlannedPlace {
  readonly name: string
  readonly port: number
  readonly url: string
  readonly peerPort: number
  readonly stage: Stage
}

function placesOf(options: SupervisorOptions, file: ClusterFile | undefined): PlannedPlace[] {
  if (file === undefined) return newPlaces(options)
  const { dataDir, nodes, port } = options
  const hold = file.nodes.filter(({ name }) => holdsNode(join(dataDir, name)))
  // A first start that was interrupted before a node was there: its plan binds nobody.
  if (hold.length === 0 && file.cluster_id === null) {
    const plannedPort = portOf(file.nodes[0]?.url)
    return newPlaces({ ...options, nodes: nodes ?? file.nodes.length, port: port ?? plannedPort })
  }
  if (hold.length === 0) {
    throw new Failure(
      1,
      `The data of every node in ${dataDir} is lost. kv cluster destroy deletes what is left; then start founds a new cluster.`,
    )
  }
  if (nodes !== undefined && nodes !== file.nodes.length) {
    throw new Failure(2, otherCount(dataDir, file.nodes.length, nodes))
  }
  return file.nodes.map(({ name, url, peer_port, stage }, at) => {
    const clientPort = port === undefined ? portOf(url) : port + at
    return { name, port: clientPort, url: urlOf(clientPort), peerPort: peer_port ?? 0, stage }
  })
}

function mayRun({ node, busy }: Place): boolean {
  return busy || (node.pid !== undefined && !node.paused)
}

/**
 * After a start at other ports, the configuration names the old ones until there is a leader. A node of that name may
 * have been started by hand, too.
 */
async function isOrMayBe(place: Place, voter: Voter): Promise<boolean> {
  return place.url === voter.url || (mayRun(place) && !(await anotherAnswers(voter, place.url)))
}

function portOf(url: string | undefined): number {
  return url === undefined ? DEFAULT_PORT : Number(new URL(url).port)
}

function newPlaces({
  dataDir,
  nodes = DEFAULT_NODES,
  port = DEFAULT_PORT,
}: SupervisorOptions): PlannedPlace[] {
  const names = Array.from({ length: nodes }, (_, at) => `n${at + 1}`)
  const used = names.find((name) => holdsNode(join(dataDir, name)))
  if (used !== undefined) {
    throw new Failure(
      1,
      `${join(dataDir, used)} holds the data of a node, but ${dataDir} has no cluster.json. Put it back, or choose another --data.`,
    )
  }
  return names.map((name, at) => ({
    name,
    port: port + at,
    url: urlOf(port + at),
    peerPort: 0,
    stage: 'new',
  }))
}

function urlOf(port: number): string {
  return `http://${HOST}:${port}`
}

/** undefined when there is nothing to keep. */
function moveAside(dir: string): string | undefined {
  if (!existsSync(dir)) return undefined
  for (let number = 1; ; number++) {
    const aside = `${dir}.old-${number}`
    if (existsSync(aside)) continue
    renameSync(dir, aside)
    return aside
  }
}

/** What a node said when it ended, and the way out that a local cluster offers, unless it has named that itself. */
function withAdvice(problem: string, { node, stage }: Place): string {
  const data = dirname(node.dataDir)
  const rejoin = `kv cluster rejoin ${node.name}${data === resolve(DEFAULT_DATA) ? '' : ` --data ${shellWord(data)}`}`
  if (stage === 'member' && !holdsNode(node.dataDir)) {
    return `${node.name} has lost its data: ${node.dataDir} holds none. ${rejoin} makes it a fresh replica.`
  }
  return problem.includes(rejoin) ? problem : `${problem}\nIf its data is damaged or lost: ${rejoin}`
}

function readyOnlyWithMajority({ name, pid }: SupervisedNode): string {
  return `${name} runs (process ${pid}). It can be ready only when a majority of the nodes runs.`
}

function done(said: string): ControlReply {
  return { ok: true, said }
}

function refused(exitCode: number, said: string): Refusal {
  return { ok: false, exitCode, said }
}
