// The network between clients and nodes. It delays everything. A message that was sent in a cut arrives after the cut,
// when its sender may have given it up, or is lost with its connection, which is reset then. A client keeps connections
// open, so it does not know whether a request has left.

import { whenAborted } from '../../../src/client/abort-listeners.ts'
import {
  type ClientOperation,
  isStreamed,
  type OperationRequest,
} from '../../../src/client/client-operation.ts'
import type { Endpoint } from '../../../src/client/endpoints.ts'
import { nodeTimeoutMs, RECHECK_MS } from '../../../src/client/retry-policy.ts'
import { afterPendingEvents } from '../../../src/client/timer.ts'
import type { HttpOutcome } from '../../../src/client/transport/http-transport.ts'
import type { SendOptions, SendOutcome, Transport } from '../../../src/client/transport/transport.ts'
import { decodeAnswer, decodeHead } from '../../../src/operations/http/answers.ts'
import { idempotencyHeaders } from '../../../src/operations/http/idempotency.ts'
import { type OutgoingRequest, withQuery } from '../../../src/operations/http/requests.ts'
import type { WatchRequest } from '../../../src/operations/watch.ts'
import type { BodySink } from '../../../src/server/connections/messages.ts'
import type { WatchHandle } from '../../../src/server/node/watch/index.ts'
import type { Machine, Process } from '../../sim/world/process.ts'
import { IO } from '../../sim/world/time.ts'
import type { SimWorld } from '../../sim/world/world.ts'
import type { Random } from '../../workload/random.ts'
import { neverSettled, type VirtualProcess, type VirtualProcesses } from '../processes.ts'
import { BodyStream, gathered } from './body-stream.ts'
import { ClientStream } from './client-stream.ts'
import { type Answered, InMemoryApi, observed, type SimulatedRequest } from './in-memory-api.ts'

/** Port of the first machine. */
const FIRST_PORT = 4001
/** Delay after which a client learns that its connection was refused or reset. */
const TOLD_MS = 5
/** Chance that a message sent in a cut is lost with its connection. Otherwise TCP sends it again after the cut. */
const LOST = 0.5

/** A request whose answer its client has not received. */
interface Pending {
  readonly host: VirtualProcess
  readonly machine: Machine
  /** The process that has received the request. */
  process: Process | undefined
  isConnected: boolean
  /** The answer is returned when it begins. */
  readonly isStreamed: boolean
  readonly settle: (outcome: HttpOutcome) => void
}

/** The connection of two machines, by their names. */
interface Link {
  /** How many cuts it has. */
  cuts: number
  /** Calls for the end of the cut: messages arrive, or their connections are reset. */
  held: (() => void)[]
}

export const nodeUrl = ({ place }: Machine): string => `http://127.0.0.1:${FIRST_PORT + place}`

export class ClientNetwork {
  readonly #world: SimWorld
  readonly #hosts: VirtualProcesses
  readonly #random: Random
  /** Code of nodes runs by this one's clock. */
  readonly #nodes: VirtualProcess
  readonly #fronts = new WeakMap<Process, InMemoryApi>()
  #named = 0
  /** When the last request arrives. */
  busyUntil = 0
  readonly #pending = new Set<Pending>()
  readonly #watches = new Map<ClientStream, { readonly host: VirtualProcess; readonly process: Process }>()
  readonly #bodies = new Map<BodyStream, { readonly host: VirtualProcess; readonly process: Process }>()
  readonly #links = new Map<string, Link>()
  /** How much longer messages from and to a machine take, by its name. */
  readonly #extraMs = new Map<string, number>()

  constructor(world: SimWorld, hosts: VirtualProcesses, random: Random) {
    this.#world = world
    this.#hosts = hosts
    this.#random = random
    this.#nodes = hosts.begin('nodes')
  }

  get endpoints(): readonly string[] {
    return this.#world.machines.map(nodeUrl)
  }

  // ---- faults

  /** Nothing passes between two machines until the result is called. */
  cut(one: string, other: string): () => void {
    const link = this.#link(one, other)
    link.cuts++
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      if (--link.cuts > 0) return
      const { held } = link
      link.held = []
      for (const run of held) run()
    }
  }

  isCut(one: string, other: string): boolean {
    return (this.#links.get(linkName(one, other))?.cuts ?? 0) > 0
  }

  /** Each message from and to this machine takes so much longer until the result is called. */
  slow(name: string, ms: number): () => void {
    const add = (more: number): void => void this.#extraMs.set(name, this.#extraOf(name) + more)
    add(ms)
    return () => add(-ms)
  }

  #extraOf(name: string): number {
    return this.#extraMs.get(name) ?? 0
  }

  #link(one: string, other: string): Link {
    const name = linkName(one, other)
    const link = this.#links.get(name) ?? { cuts: 0, held: [] }
    this.#links.set(name, link)
    return link
  }

  /**
   * Calls `arrive` with the time that a message takes, when it leaves. One that was sent in a cut may be lost with its
   * connection: then `lost` is called when the cut is over. Without `lost` it arrives.
   */
  carry(one: string, other: string, arrive: (ms: number) => void, lost?: () => void): void {
    const { delayMs, jitterMs } = this.#world.config
    const usualMs = delayMs + jitterMs * this.#random.next()
    const leave = (): void => arrive(usualMs + this.#extraOf(one) + this.#extraOf(other))
    if (!this.isCut(one, other)) leave()
    else this.#link(one, other).held.push(lost !== undefined && this.#random.chance(LOST) ? lost : leave)
  }

  /** Calls `arrive` when the connection of two machines is whole: the end of one passes no cut either. */
  whenWhole(one: string, other: string, arrive: () => void): void {
    if (this.isCut(one, other)) this.#link(one, other).held.push(arrive)
    else arrive()
  }

  // ---- what becomes of the machines

  /** A process is gone, and so are its connections. */
  gone(process: Process): void {
    for (const pending of this.#pending) if (pending.process === process) this.#reset(pending)
    for (const [stream, watch] of this.#watches) if (watch.process === process) this.#endWatch(stream)
    for (const [body, { host, process: of }] of this.#bodies)
      if (of === process)
        this.whenWhole(host.name, process.name, () => host.after(TOLD_MS, () => body.reset()))
  }

  /** A process of clients is gone, and so are its connections. */
  left(host: VirtualProcess): void {
    for (const pending of this.#pending) if (pending.host === host) this.#pending.delete(pending)
    for (const [stream, watch] of this.#watches) if (watch.host === host) stream.abandon()
    for (const [body, { host: of }] of this.#bodies) if (of === host) body.abandon()
  }

  /** Requests and watches that a process has in flight. */
  openOf(host: VirtualProcess): { readonly requests: number; readonly watches: number } {
    const count = (ofAll: Iterable<{ readonly host: VirtualProcess }>): number =>
      [...ofAll].filter((one) => one.host === host).length
    const requests = count(this.#pending) + count(this.#bodies.values())
    return { requests, watches: count(this.#watches.values()) }
  }

  /** Whether anything is in flight. */
  get isBusy(): boolean {
    return this.#pending.size > 0 || this.#watches.size > 0 || this.#bodies.size > 0
  }

  /** The transport of a client of this process. */
  createTransport(host: VirtualProcess): Transport {
    const network = this
    const inFlight = new Set<Pending>()
    return {
      async send<Q extends OperationRequest, R>(
        endpoint: Endpoint,
        operation: ClientOperation<Q, R>,
        request: Q,
        options: SendOptions,
      ): Promise<SendOutcome<R>> {
        const { current = host } = network.#hosts
        if (current !== host) throw network.#hosts.misused(current, host)
        if (!host.live) return neverSettled()
        const { timeoutMs, silenceMs = timeoutMs, connectMs = timeoutMs, mayGiveUp, signal } = options
        const { promise, resolve } = Promise.withResolvers<HttpOutcome>()
        const settle = (outcome: HttpOutcome): void => {
          if (!network.#pending.delete(pending)) return
          inFlight.delete(pending)
          stopTimer()
          stopConnect()
          stopListening()
          resolve(outcome)
        }
        const machine = network.#machineAt(endpoint)
        const pending: Pending = {
          ...{ host, machine, process: undefined, isConnected: false },
          isStreamed: isStreamed(operation, request),
          settle,
        }
        network.#pending.add(pending)
        inFlight.add(pending)
        const fail = (cause: Error, timedOut: boolean) => settle(failed(pending, cause, timedOut))
        // Requests that are open count by themselves.
        const apart = { unref: true }
        const startedAt = performance.now()
        const silent = (): void => {
          const leftMs = startedAt + timeoutMs - performance.now()
          if (leftMs > 0 && mayGiveUp?.() === false)
            stopTimer = afterPendingEvents(Math.min(leftMs, RECHECK_MS), silent, apart)
          else fail(new Error('no answer'), true)
        }
        let stopTimer = afterPendingEvents(Math.min(timeoutMs, silenceMs), silent, apart)
        const unconnected = (): void => {
          if (!pending.isConnected) fail(new Error('no connection'), true)
        }
        const stopConnect = afterPendingEvents(connectMs, unconnected, apart)
        const stopListening = whenAborted(signal, () => fail(new Error('given up'), false))
        options.seal?.()
        // As it is now: the client may change its name for a later try.
        const sent = simulatedRequest(operation.http.encode(request), request, options)
        network.#send(pending, request, sent, options)
        const outcome = await promise
        return outcome.kind === 'answered' ? decodeAnswer(operation, request, outcome) : outcome
      },
      get inFlight() {
        return inFlight.size
      },
      close() {
        for (const pending of inFlight)
          pending.settle(failed(pending, new Error('the client was closed'), false))
      },
    }
  }

  #machineAt({ port }: Endpoint): Machine {
    const machine = this.#world.machines[port - FIRST_PORT]
    if (machine === undefined) throw new Error(`no machine has the port ${port}`)
    return machine
  }

  // ---- requests

  #send(pending: Pending, request: OperationRequest, sent: SimulatedRequest, options: SendOptions): void {
    const { host, machine } = pending
    const { time } = this.#world
    this.#hosts.host.observe?.(host, `${sent.method} ${sent.target} to ${machine.name}`, false)
    // It is on a connection that was kept, and no one knows whether it arrives.
    if (this.isCut(host.name, machine.name)) pending.isConnected = true
    const arrive = (ms: number): void => {
      // It leaves at once on a connection that was kept, and otherwise when one is made.
      pending.isConnected ||= this.#random.chance(0.5)
      this.busyUntil = Math.max(this.busyUntil, time.now + ms)
      time.push(time.now + ms, IO, undefined, () => this.#arrived(pending, request, sent, options))
    }
    this.carry(host.name, machine.name, arrive, () => this.#reset(pending))
  }

  #arrived(pending: Pending, request: OperationRequest, sent: SimulatedRequest, options: SendOptions): void {
    if (!pending.isConnected && !this.#pending.has(pending)) return
    const { time } = this.#world
    const { process } = pending.machine
    if (process?.driver === undefined) {
      if (pending.isConnected) this.#reset(pending)
      else this.#refuse(pending)
      return
    }
    pending.process = process
    pending.isConnected = true
    // A stopped process reads it later.
    time.push(time.now, IO, process, () =>
      this.#hosts.enter(this.#nodes, () => this.#serve(pending, process, request, sent, options)),
    )
  }

  #serve(
    pending: Pending,
    process: Process,
    request: OperationRequest,
    sent: SimulatedRequest,
    options: SendOptions,
  ): void {
    const front = this.#frontOf(process)
    // It ends.
    if (front === undefined) return
    if (isWatch(request)) {
      this.#watch(pending, process, front, request, options)
      return
    }
    front.serve(
      sent,
      () => !pending.host.live,
      (answered) => {
        // A driver ends the calls that it has in flight, also when its process was killed.
        if (!process.live) return
        if (answered.writeTo === undefined) this.#answer(pending, answered)
        else this.#stream(pending, process, answered, answered.writeTo)
      },
    )
  }

  #frontOf(process: Process): InMemoryApi | undefined {
    const { driver } = process
    if (driver === undefined) return undefined
    const front =
      this.#fronts.get(process) ??
      new InMemoryApi(
        observed(driver, {
          invariants: this.#world.invariants,
          newName: () => `h${this.#named++}`,
          enter: (run) => this.#hosts.enter(this.#nodes, run),
        }),
      )
    this.#fronts.set(process, front)
    return front
  }

  #answer(pending: Pending, answered: Answered): void {
    const { host, machine } = pending
    const arrive = (ms: number): void => {
      host.after(ms, () => pending.settle({ kind: 'answered', ...answered }))
    }
    this.carry(machine.name, host.name, arrive, () => this.#reset(pending))
  }

  /** The node reads the body while the client takes it. */
  #stream(
    pending: Pending,
    process: Process,
    { status, headers }: Answered,
    writeTo: (sink: BodySink) => void,
  ): void {
    const { host, machine } = pending
    const { time } = this.#world
    let readyAt = time.now
    const toClient = (run: () => void): void => {
      if (!process.live) return
      // Parts arrive in order.
      this.carry(machine.name, host.name, (ms) => {
        readyAt = Math.max(readyAt, time.now + ms)
        host.after(readyAt - time.now, run)
      })
    }
    const body = new BodyStream({
      toClient,
      toNode: (run) => void time.push(time.now, IO, process, () => this.#hosts.enter(this.#nodes, run)),
      over: () => this.#bodies.delete(body),
    })
    this.#bodies.set(body, { host, process })
    if (!host.live) body.abandon()
    toClient(() => {
      const { stream } = body
      if (!this.#pending.has(pending)) stream.destroy()
      else if (pending.isStreamed && status === 200)
        pending.settle({ kind: 'streaming', head: decodeHead(headers), stream })
      else
        void gathered(body).then(
          (bytes) => pending.settle({ kind: 'answered', status, headers, body: bytes }),
          () => this.#reset(pending),
        )
    })
    writeTo(body)
  }

  #refuse(pending: Pending): void {
    const { host } = pending
    const cause = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' })
    host.after(TOLD_MS, () => pending.settle(failed(pending, cause, false)))
  }

  #reset(pending: Pending): void {
    const { host, machine } = pending
    this.whenWhole(host.name, machine.name, () =>
      host.after(TOLD_MS, () => pending.settle(failed(pending, new Error('the connection was cut'), false))),
    )
  }

  // ---- watches

  #watch(
    pending: Pending,
    process: Process,
    front: InMemoryApi,
    { request }: WatchRequest,
    { timeoutMs, streamSilenceMs = timeoutMs }: SendOptions,
  ): void {
    const { host, machine } = pending
    const { time } = this.#world
    let watch: WatchHandle | undefined
    const stream = new ClientStream({
      values: request.values,
      silentMs: streamSilenceMs,
      send: (line, isLast) => {
        if (line !== undefined && !process.live) return
        // Messages of one stream arrive in order.
        this.carry(machine.name, host.name, (ms) => {
          stream.readyAt = Math.max(stream.readyAt, time.now + ms)
          host.after(stream.readyAt - time.now, () => stream.received(line, isLast))
        })
      },
      drained: () => void time.push(time.now, IO, process, () => watch?.drained()),
      left: () => {
        this.#watches.delete(stream)
        time.push(time.now, IO, process, () => watch?.cancel())
      },
    })
    front.watch(request, timeoutMs, stream, (begun) => {
      if (!process.live) return
      if ('status' in begun) return this.#answer(pending, begun)
      watch = begun.watch
      this.#watches.set(stream, { host, process })
      if (!host.live) {
        stream.abandon()
        return
      }
      const head = { clusterId: process.driver?.clusterId, node: process.name }
      this.carry(machine.name, host.name, (ms) => {
        stream.readyAt = time.now + ms
        host.after(ms, () => {
          if (this.#pending.has(pending)) pending.settle({ kind: 'streaming', head, stream })
          else stream.destroy()
        })
      })
      stream.created(begun.revision, watch.from - 1)
    })
  }

  #endWatch(stream: ClientStream): void {
    this.#watches.delete(stream)
    stream.reset()
  }
}

const isWatch = (request: OperationRequest): request is WatchRequest => request.kind === 'watch'

function simulatedRequest(
  { method, path, headers, body }: OutgoingRequest,
  { idempotency }: OperationRequest,
  { timeoutMs, clusterId }: SendOptions,
): SimulatedRequest {
  return {
    method,
    target: withQuery(path, { timeout: `${nodeTimeoutMs(timeoutMs)}ms` }),
    headers: {
      ...headers,
      ...(clusterId === undefined ? undefined : { 'Kv-Cluster': clusterId }),
      ...idempotencyHeaders(idempotency),
    },
    body,
  }
}

const linkName = (one: string, other: string): string => (one < other ? `${one} ${other}` : `${other} ${one}`)

const failed = ({ isConnected }: Pending, cause: Error, timedOut: boolean): HttpOutcome =>
  isConnected
    ? { kind: 'maybe-applied', cause, timedOut }
    : { kind: 'not-sent', cause, reached: false, timedOut }
