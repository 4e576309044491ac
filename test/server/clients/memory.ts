// The memory of a client port. Hostile clients (hostile-clients.ts) begin and leave in any order; after each step, the
// heap of the node is compared with what the node counts. When all of them have left, nothing is counted any more.

import { once } from 'node:events'
import { Agent } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { expect } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { encodeRequest } from '../../../src/kv/index.ts'
import type { Request } from '../../../src/kv/types.ts'
import type { LeaseId, ReadGrant } from '../../../src/operations/forms/index.ts'
import type { HttpLimits } from '../../../src/server/listener/limits.ts'
import type { ReadRequirements } from '../../../src/server/node/read/reads.ts'
import type { CommandResult, Problem, Result } from '../../../src/server/node/result.ts'
import { commandDigest } from '../../../src/server/node/write/command-digest.ts'
import { AS_BOB, BOB_HASH, BOB_PASSWORD, nodeWithUsers } from '../auth/users.ts'
import { callRpc, openSession } from '../etcd/grpc-call.ts'
import { FakeNode } from '../http/fake-node.ts'
import { type Answered, JSON_TYPE, type Started, start } from '../http/served.ts'
import { GET, MuxClient, PUT, RANGE } from '../mux/mux-client.ts'
import {
  ACTION_NAMES,
  type Action,
  type Departure,
  FUTURE,
  type Group,
  type HostileClientsData,
  KEYS,
  type Order,
  type Report,
  ROLES,
} from './hostile-clients.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** The budgets of the node. Its times are long: what a client holds, it holds until it leaves. */
const LIMITS = {
  bodiesBytesMax: 8 * MiB,
  answersBytesMax: 8 * MiB,
  unauthenticatedBytesMax: 1 * MiB,
  unidentifiedHeadBytesMax: 256 * KiB,
  watchBuffersBytesMax: 2 * MiB,
  watchBufferBytesMax: 128 * KiB,
  muxAnswersBytesMax: 2 * MiB,
  headMs: 300_000,
  unauthenticatedBodyMs: 600_000,
  keepAliveMs: 600_000,
  writeStallMsMax: 600_000,
  muxPingMs: 600_000,
  grpcPingMs: 600_000,
} as const satisfies Partial<HttpLimits>

/** Bytes of changes that the node holds. A change is made whether or not its client waits for the answer. */
const PROPOSALS_BYTES_MAX = 1 * MiB
const PROPOSALS_MAX = 2_000

// The numbers that follow are measured with Node.js 24: groups of four connections, each action alone.

/** Bytes of memory for each byte that the node counts: 0.9 to 1.6. A buffer that grows has room for twice its bytes. */
const MEMORY_FACTOR = 2
/**
 * The same of heads of unidentified connections, which count as they arrive: node:http makes objects of their fields.
 */
const HEAD_FACTOR = 10
/** Memory of a watch beyond the factor: 0.1 to 1.8 KB of objects more than count. */
const WATCH_BYTES = 4 * KiB
/** Memory of an operation that waits on a multiplexed connection: 1.7 KB, of which 512 bytes count. */
const OPERATION_BYTES = 1 * KiB
/** Memory of a change that the node makes although its client has given it up. The number of changes is limited. */
const PROPOSAL_BYTES = 5 * KiB
/** Memory of a connection that is not counted: its objects, and 1 KiB that is free; of gRPC also two buffers. */
const CONNECTION_BYTES = 64 * KiB
/** Changes of the calm heap for other reasons while one group begins. */
const VISIT_BYTES = 768 * KiB
/** The same in a schedule: compiled code, and what V8 and Node keep for the next connection. */
const SLACK_BYTES = 4 * MiB
/** The same when all clients have left. */
const LEFT_BYTES = SLACK_BYTES

const HELD: Problem = { code: 'no_quorum', detail: 'no majority has answered', written: 'no' }
const FULL: Problem = { code: 'overloaded', detail: 'too many proposals wait', written: 'no' }

/** A node whose changes and reads of the future wait until they are released. */
class HoldingNode extends FakeNode {
  readonly #held = new Set<() => void>()
  heldBytes = 0

  constructor() {
    super()
    // It would keep all requests.
    this.asked.push = () => 0
  }

  override propose(request: Request, timeoutMs: number, done: (result: CommandResult) => void): void {
    const { command } = request
    if (command.kind === 'put' && Buffer.from(command.key).toString().startsWith('app/kept/'))
      super.propose(request, timeoutMs, done)
    else this.#hold(encodeRequest(request, commandDigest).length, done)
  }

  override read(options: ReadRequirements, done: (result: Result<ReadGrant>) => void): () => void {
    if ((options.minRevision ?? 0) < FUTURE) return super.read(options, done)
    return this.#hold(0, done)
  }

  override keepAlive(
    ids: readonly LeaseId[],
    _timeoutMs: number,
    done: (result: Result<readonly (number | undefined)[]>) => void,
  ): void {
    this.#hold(8 * ids.length, done)
  }

  #hold(
    bytes: number,
    done: (result: { readonly ok: false; readonly problem: Problem }) => void,
  ): () => void {
    const isFull = this.heldBytes + bytes > PROPOSALS_BYTES_MAX || this.#held.size >= PROPOSALS_MAX
    if (bytes > 0 && isFull) {
      setImmediate(() => done({ ok: false, problem: FULL }))
      return () => {}
    }
    const end = (problem: Problem): void => {
      if (!this.#held.delete(release)) return
      this.heldBytes -= bytes
      done({ ok: false, problem })
    }
    const release = (): void => end(HELD)
    this.#held.add(release)
    this.heldBytes += bytes
    return () => end({ code: 'cancelled', detail: 'the client has gone', written: 'no' })
  }

  get held(): number {
    return this.#held.size
  }

  release(): void {
    for (const release of [...this.#held]) release()
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Schedules

/** Actions whose other form gives up all that it has begun. */
const GIVEN_UP: readonly Action[] = ['mux: watches', 'mux: ranges given up', 'grpc: watches', 'grpc: resets']

interface Visit {
  readonly group: Group
  /** Groups that begin before it leaves. */
  readonly stays: number
  readonly departure: Departure
  /** Before it leaves, what waits at the node ends. */
  readonly isReleased: boolean
}

const visit = (action: Action): fc.Arbitrary<Visit> =>
  fc.record({
    group: fc.record({
      action: fc.constant(action),
      role: fc.constantFrom(...ROLES, 'user' as const, 'user' as const, 'user' as const, 'user' as const),
      connections: fc.integer({ min: 2, max: 4 }),
      bytes: fc.constantFrom(600 * KiB, 1 * MiB, 2 * MiB),
      isOther: fc.boolean(),
    }),
    stays: fc.integer({ min: 0, max: 4 }),
    departure: fc.constantFrom('end' as const, 'close' as const, 'reset' as const),
    isReleased: fc.boolean(),
  })

/** Each action alone, in both forms, by so many users. */
const eachAlone = (connections: number): readonly Group[] =>
  ACTION_NAMES.flatMap((action) =>
    [false, true].map((isOther) => ({ action, role: 'user', connections, bytes: 2 * MiB, isOther }) as const),
  )

/** All actions, in any order. */
export const schedule: fc.Arbitrary<readonly Visit[]> = fc
  .shuffledSubarray(ACTION_NAMES, { minLength: ACTION_NAMES.length })
  .chain((actions) => fc.tuple(...actions.map(visit)))

// ---------------------------------------------------------------------------------------------------------------------
// The node, its clients, and what is compared

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/**
 * Bytes of everything that is in use. `external` includes the bytes of array buffers. V8 frees those of a collection
 * later, in another thread, so they may be tens of megabytes too many.
 */
function heapBytes(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The same when nothing more is freed. What was closed lately is gone after some turns of the event loop. */
async function calmHeapBytes(): Promise<number> {
  let least = heapBytes()
  for (let calm = 0; calm < 2; calm++) {
    await nextTurn()
    const bytes = heapBytes()
    if (bytes < least - 64 * KiB) calm = -1
    least = Math.min(least, bytes)
  }
  return least
}

/** The heap, and the most that its clients may take of it. */
interface Look {
  readonly bytes: number
  readonly bound: number
}

type Gauges = Readonly<Record<string, number>>

/** Events for clients that take none: more than their sockets hold. */
const EVENTS = 64
const EVENT_BYTES = 96 * KiB

/** Rounds in which nothing changes any more. */
const CALM_ROUNDS = 4
const ROUNDS_MAX = 400

export class WatchedPort {
  readonly #node: HoldingNode
  readonly #served: Started
  readonly #clients: Worker
  readonly #isChecked: boolean
  /** Gauges that were below 0. */
  readonly #negative: string[] = []
  /** The heap before the first client, or the least since then. */
  #least = 0
  #names = 0
  #agent = new Agent({ keepAlive: true })

  private constructor(node: HoldingNode, served: Started, clients: Worker, isChecked: boolean) {
    this.#node = node
    this.#served = served
    this.#clients = clients
    this.#isChecked = isChecked
    const { inbound, inboundOfUnauthenticated, outbound, outboundOfUnauthenticated } = served.api
    for (const [name, budget] of Object.entries({
      inbound,
      inboundOfUnauthenticated,
      outbound,
      outboundOfUnauthenticated,
    }))
      this.#refuseNegative(name, budget)
  }

  /** `isChecked`: whether rights are checked. */
  static async open(isChecked: boolean): Promise<WatchedPort> {
    const node = new HoldingNode()
    for (let at = 0; at < KEYS.largeCount; at++)
      node.put(`${KEYS.large}${at}`, Buffer.alloc(KEYS.largeBytes, 'v'))
    node.put(KEYS.small, 'v')
    if (isChecked) {
      nodeWithUsers(node)
      const change = { kind: 'put-user', name: 'none', passwordHash: BOB_HASH, roles: [] } as const
      node.apply({ kind: 'auth', ifRevision: undefined, change })
    }
    const served = await start({ node, limits: LIMITS })
    const tokens: HostileClientsData['tokens'] = isChecked
      ? { user: await tokenOf(served, 'bob'), 'user without a right': await tokenOf(served, 'none') }
      : {}
    const hostileClients: HostileClientsData = { port: served.port, tokens }
    const clients = new Worker(new URL('./hostile-clients.ts', import.meta.url), {
      workerData: { hostileClients },
    })
    const port = new WatchedPort(node, served, clients, isChecked)
    await port.#warmUp()
    return port
  }

  async close(): Promise<void> {
    await this.#clients.terminate()
    await this.#served.close()
  }

  #refuseNegative(name: string, budget: { bytes: number }): void {
    let { bytes } = budget
    Object.defineProperty(budget, 'bytes', {
      get: () => bytes,
      set: (now: number) => {
        bytes = now
        if (!(now >= 0)) this.#negative.push(`${name}: ${now}`)
      },
    })
  }

  async #order(order: Order): Promise<Report> {
    const reported = once(this.#clients, 'message')
    this.#clients.postMessage(order)
    const [report] = await reported
    return report
  }

  get #gauges(): Gauges {
    const { unidentifiedClosedTotal, stalledTotal, refusedTotal, handshakesFailedTotal, ...counts } =
      this.#served.http.inspect()
    const { inboundOfUnauthenticated, outboundOfUnauthenticated } = this.#served.api
    return {
      ...counts,
      inboundOfUnauthenticated: inboundOfUnauthenticated.bytes,
      outboundOfUnauthenticated: outboundOfUnauthenticated.bytes,
      openReads: this.#node.openReads,
      openScans: this.#node.openScans,
      watches: this.#node.watches.counts().open,
    }
  }

  /** Waits until the clients send nothing more, and the node does nothing more for them. */
  async #settle(): Promise<Report> {
    let before = ''
    let report = await this.#order({ kind: 'report' })
    for (let calm = 0, rounds = 0; calm < CALM_ROUNDS && rounds < ROUNDS_MAX; rounds++) {
      await this.#ask('GET', '/livez').catch(() => {})
      report = await this.#order({ kind: 'report' })
      const now = JSON.stringify([this.#gauges, report])
      calm = now === before ? calm + 1 : 0
      before = now
    }
    return report
  }

  /** The most memory that the clients may take now. */
  get #bound(): number {
    const {
      bodyBytes = 0,
      unauthenticatedBytes = 0,
      answerBytes = 0,
      watchBytes = 0,
      ...gauges
    } = this.#gauges
    const { unidentifiedHeadBytes = 0, connections = 0, watches = 0, operations = 0 } = gauges
    const counted = bodyBytes + unauthenticatedBytes + answerBytes + watchBytes + this.#node.heldBytes
    return (
      MEMORY_FACTOR * counted +
      HEAD_FACTOR * unidentifiedHeadBytes +
      WATCH_BYTES * watches +
      OPERATION_BYTES * operations +
      PROPOSAL_BYTES * this.#node.held +
      CONNECTION_BYTES * connections
    )
  }

  async #look(): Promise<Look> {
    await this.#settle()
    return { bytes: await calmHeapBytes(), bound: this.#bound }
  }

  /** Compares the heap with what the node counts, since `before` and altogether. */
  async #check(before: Look, what: string): Promise<void> {
    await this.#settle()
    const excess = async () => this.#excess(before, await calmHeapBytes())
    await expect.poll(excess, { message: what }).toBeLessThanOrEqual(0)
  }

  /** By how much the heap is larger than it may be. */
  #excess(before: Look, bytes: number): number {
    expect(this.#negative).toEqual([])
    this.#least = Math.min(this.#least, bytes)
    const more = bytes - before.bytes - Math.max(0, this.#bound - before.bound) - VISIT_BYTES
    return Math.max(more, bytes - this.#least - this.#bound - SLACK_BYTES)
  }

  /** Each action alone: nobody else's bytes hide what does not count, and what stays when its clients have left. */
  async runEachAlone(): Promise<void> {
    for (const group of eachAlone(4)) {
      // Buffers that a node keeps grow once to what the action needs. What does not count grows each time.
      const first = this.#names++
      await this.#begin(first, group)
      await this.#settle()
      await this.#order({ kind: 'leave', name: first, departure: 'reset' })
      await this.#settle()
      this.#node.release()
      await this.#expectNothingCounts()
      const name = this.#names++
      this.#least = await calmHeapBytes()
      const before = await this.#look()
      await this.#begin(name, group)
      await this.#check(before, describe(group))
      await this.#order({ kind: 'leave', name, departure: 'reset' })
      await this.#check(before, `${describe(group)} who have left`)
      this.#node.release()
      await this.#expectNothingLeft()
    }
  }

  async #begin(name: number, group: Group): Promise<void> {
    await this.#order({ kind: 'begin', name, group })
    await this.#change(group.action.endsWith('untaken events') ? EVENTS : 1)
  }

  async run(visits: readonly Visit[]): Promise<void> {
    const staying: { readonly name: number; readonly visit: Visit; left: number }[] = []
    this.#least = await calmHeapBytes()
    for (const visit of visits) {
      const name = this.#names++
      const before = await this.#look()
      await this.#begin(name, visit.group)
      staying.push({ name, visit, left: visit.stays })
      await this.#check(before, describe(visit.group))
      for (const each of [...staying]) {
        if (each.left-- > 0) continue
        staying.splice(staying.indexOf(each), 1)
        await this.#leave(each.name, each.visit)
      }
    }
    for (const { name, visit } of staying) await this.#leave(name, visit)
    this.#node.release()
    await this.#expectNothingLeft()
    await this.#expectServed()
    await this.#expectGivenUp()
    await this.#expectNothingLeft()
  }

  /** Bytes that clients give up count no more, although their connections stay open. */
  async #expectGivenUp(): Promise<void> {
    const first = this.#names
    for (const action of GIVEN_UP) {
      const group = { action, role: 'user', connections: 2, bytes: 200 * KiB, isOther: true } as const
      await this.#order({ kind: 'begin', name: this.#names++, group })
    }
    await this.#expectCalm([
      'connections',
      'fastConnections',
      'muxConnections',
      'grpcConnections',
      'grpcCalls',
    ])
    for (let name = first; name < this.#names; name++)
      await this.#order({ kind: 'leave', name, departure: 'close' })
  }

  /** Changes the key that clients watch. Its history is not kept: that is memory of the store. */
  async #change(count: number): Promise<void> {
    for (let at = 0; at < count; at++) this.#node.put(KEYS.watched, Buffer.alloc(EVENT_BYTES, 'w'))
    await this.#settle()
    this.#node.apply({ kind: 'compact', revision: this.#node.revision })
  }

  /** Every action, so that all code is loaded, and buffers of the node that serve all clients are large enough. */
  async #warmUp(): Promise<void> {
    for (const group of eachAlone(1)) {
      const name = this.#names++
      await this.#begin(name, group)
      await this.#order({ kind: 'leave', name, departure: 'close' })
      this.#node.release()
    }
    // The encoder of all multiplexed connections keeps four times the room of the largest message.
    const mux = await this.#openMux()
    expect((await mux.ask(1, RANGE, null, { prefix: KEYS.large }))[1]).toBe(0)
    mux.ws.terminate()
    await this.#expectServed()
    await this.#expectNothingCounts()
  }

  async #leave(name: number, { departure, isReleased }: Visit): Promise<void> {
    if (isReleased) this.#node.release()
    await this.#order({ kind: 'leave', name, departure })
  }

  async #expectNothingLeft(): Promise<void> {
    await this.#expectNothingCounts()
    await expect.poll(async () => (await calmHeapBytes()) - this.#least).toBeLessThan(LEFT_BYTES)
    expect(this.#negative).toEqual([])
    expect(this.#served.logged.filter((line) => line.startsWith('a request failed'))).toEqual([])
  }

  async #expectNothingCounts(): Promise<void> {
    this.#agent.destroy()
    this.#agent = new Agent({ keepAlive: true })
    await this.#expectCalm([])
  }

  /** All gauges are 0, but for these. */
  async #expectCalm(others: readonly string[]): Promise<void> {
    const remaining = (): unknown => {
      // A change may have arrived after its client has left.
      this.#node.release()
      return Object.entries(this.#gauges).filter(([name, count]) => count !== 0 && !others.includes(name))
    }
    await expect.poll(remaining).toEqual([])
  }

  /** A user, whose connection ends before the counts are compared with 0. */
  #ask(method: string, target: string, body = ''): Promise<Answered> {
    const headers = this.#isChecked ? AS_BOB : {}
    return this.#served.ask(method, target, { headers, body, agent: this.#agent })
  }

  #openMux(): Promise<MuxClient> {
    return new MuxClient(this.#served.port, { headers: this.#isChecked ? AS_BOB : {} }).open()
  }

  /** A put and a get on each wire. */
  async #expectServed(): Promise<void> {
    const { port } = this.#served
    const target = `/v1/kv/${KEYS.small}`
    expect(await this.#ask('PUT', target, 'http')).toMatchObject({ status: 200 })
    expect(await this.#ask('GET', target)).toMatchObject({ status: 200, text: 'http' })

    const mux = await this.#openMux()
    expect((await mux.ask(1, PUT, null, KEYS.small, 'mux'))[1]).toBe(0)
    expect((await mux.ask(2, GET, null, KEYS.small))[3][1].toString()).toBe('mux')
    mux.ws.terminate()

    const session = openSession(port)
    const token = this.#isChecked ? { token: AS_BOB.Authorization.replace('Bearer ', '') } : {}
    const key = Buffer.from(KEYS.small)
    expect(await callRpc(session, RPC.put, { key, value: Buffer.from('grpc') }, token)).toMatchObject({
      status: 0,
    })
    const { response } = await callRpc(session, RPC.range, { key }, token)
    expect(Buffer.from(response?.kvs[0]?.value ?? []).toString()).toBe('grpc')
    session.destroy()
  }
}

const describe = ({ action, isOther, connections, role, bytes }: Group): string =>
  `${action}${isOther ? ', otherwise' : ''} by ${connections} × ${role}, ${bytes} bytes each`

async function tokenOf({ ask }: Started, user: string): Promise<string> {
  const body = JSON.stringify({ user, password: BOB_PASSWORD })
  const { json } = await ask('POST', '/v1/auth/login', {
    headers: { ...JSON_TYPE, Connection: 'close' },
    body,
  })
  return json.token
}
