// The network between clients and nodes. It delays everything; while it is cut, what was sent is lost with its
// connection, or arrives when the cut is over, when its sender has given it up long ago. A client keeps connections
// open, so it does not know whether a request has left.

import { whenAborted } from '../../src/client/abort-listeners.ts'
import type { ClientOperation, OperationRequest } from '../../src/client/client-operation.ts'
import type { Endpoint } from '../../src/client/endpoints.ts'
import { nodeTimeoutMs } from '../../src/client/retry-policy.ts'
import { after } from '../../src/client/timer.ts'
import type { HttpOutcome } from '../../src/client/transport/http-transport.ts'
import type {
  SendOptions,
  SendOutcome,
  Transport,
  WatchMessages,
} from '../../src/client/transport/transport.ts'
import { asRevision } from '../../src/operations/forms/index.ts'
import { decodeAnswer } from '../../src/operations/http/answers.ts'
import { idempotencyHeaders } from '../../src/operations/http/idempotency.ts'
import { type OutgoingRequest, withQuery } from '../../src/operations/http/requests.ts'
import { type DecodedWatchMessage, decodeWatchLine, type WatchRequest } from '../../src/operations/watch.ts'
import { errorOfWatch } from '../../src/server/api/watch.ts'
import { NDJSON } from '../../src/server/http/watch-json.ts'
import type { EventsMessage, WatchEnd, WatchHandle, WatchSink } from '../../src/server/node/watch/index.ts'
import type { Machine, Process } from '../sim/world/process.ts'
import { IO } from '../sim/world/time.ts'
import type { SimWorld } from '../sim/world/world.ts'
import type { Random } from '../workload/random.ts'
import { type Answered, InMemoryApi, observed, type SimulatedRequest } from './in-memory-api.ts'
import type { VirtualProcess, VirtualProcesses } from './virtual-process.ts'

/** Port of the first machine. */
const FIRST_PORT = 4001
/** Messages of a watch that may wait for its client. */
const WAITING_MAX = 20
/** Delay after which a client learns that its connection was refused or reset. */
const TOLD_MS = 5

/** A request whose answer its client has not received. */
interface Pending {
  readonly host: VirtualProcess
  readonly machine: Machine
  /** The process that has received the request. */
  process: Process | undefined
  isConnected: boolean
  readonly settle: (outcome: HttpOutcome) => void
}

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
  /** Times until which a client and a machine are cut off from each other. */
  readonly #cuts = new Map<string, number>()

  constructor(world: SimWorld, hosts: VirtualProcesses, random: Random) {
    this.#world = world
    this.#hosts = hosts
    this.#random = random
    this.#nodes = hosts.begin('nodes')
  }

  get endpoints(): readonly string[] {
    return this.#world.machines.map(({ place }) => `http://127.0.0.1:${FIRST_PORT + place}`)
  }

  /** Nothing passes between a client and a machine for so long. */
  cut(host: VirtualProcess, machine: Machine, ms: number): void {
    const name = pairName(host, machine)
    this.#cuts.set(name, Math.max(this.#cuts.get(name) ?? 0, this.#world.time.now + ms))
  }

  heal(): void {
    this.#cuts.clear()
  }

  /** A process is gone, and so are its connections. */
  gone(process: Process): void {
    for (const pending of this.#pending) if (pending.process === process) this.#reset(pending)
    for (const [stream, watch] of this.#watches) if (watch.process === process) this.#endWatch(stream)
  }

  /** A process of clients is gone, and so are its connections. */
  left(host: VirtualProcess): void {
    for (const pending of this.#pending) if (pending.host === host) this.#pending.delete(pending)
    for (const [stream, watch] of this.#watches) if (watch.host === host) stream.abandon()
  }

  /** The transport of a client of this process. */
  createTransport(host: VirtualProcess): Transport {
    const network = this
    let inFlight = 0
    return {
      async send<Q extends OperationRequest, R>(
        endpoint: Endpoint,
        operation: ClientOperation<Q, R>,
        request: Q,
        options: SendOptions,
      ): Promise<SendOutcome<R>> {
        inFlight++
        const { timeoutMs, silenceMs = timeoutMs, connectMs = timeoutMs, signal } = options
        const { promise, resolve } = Promise.withResolvers<HttpOutcome>()
        const settle = (outcome: HttpOutcome): void => {
          if (!network.#pending.delete(pending)) return
          inFlight--
          stopTimer()
          stopConnect()
          stopListening()
          resolve(outcome)
        }
        const machine = network.#machineAt(endpoint)
        const pending: Pending = { host, machine, process: undefined, isConnected: false, settle }
        network.#pending.add(pending)
        const fail = (cause: Error, timedOut: boolean) => settle(failed(pending, cause, timedOut))
        const stopTimer = after(Math.min(timeoutMs, silenceMs), () => fail(new Error('no answer'), true))
        const stopConnect = after(
          connectMs,
          () => pending.isConnected || fail(new Error('no connection'), true),
        )
        const stopListening = whenAborted(signal, () => fail(new Error('given up'), false))
        // As it is now: the client may change its name for a later try.
        const sent = simulatedRequest(operation.http.encode(request), request, options)
        network.#send(pending, request, sent, options)
        const outcome = await promise
        return outcome.kind === 'answered' ? decodeAnswer(operation, request, outcome) : outcome
      },
      get inFlight() {
        return inFlight
      },
      close() {
        for (const pending of network.#pending)
          if (pending.host === host)
            pending.settle(failed(pending, new Error('the client was closed'), false))
      },
    }
  }

  #machineAt({ port }: Endpoint): Machine {
    const machine = this.#world.machines[port - FIRST_PORT]
    if (machine === undefined) throw new Error(`no machine has the port ${port}`)
    return machine
  }

  /** How long a message takes; `loses`: it may be lost with its connection, then undefined. */
  #delayMs(host: VirtualProcess, machine: Machine): number | undefined {
    const { time, config } = this.#world
    const usual = config.delayMs + config.jitterMs * this.#random.next()
    const leftMs = (this.#cuts.get(pairName(host, machine)) ?? 0) - time.now
    if (leftMs <= 0) return usual
    return this.#random.chance(0.5) ? leftMs + usual : undefined
  }

  // ---- requests

  #send(pending: Pending, request: OperationRequest, sent: SimulatedRequest, options: SendOptions): void {
    const { host, machine } = pending
    const { time } = this.#world
    const ms = this.#delayMs(host, machine)
    // No connection can be made, and nothing tells the client.
    if (ms === undefined) return
    // It leaves at once on a connection that was kept, and otherwise when one is made.
    pending.isConnected = this.#isCut(host, machine) || this.#random.chance(0.5)
    this.busyUntil = Math.max(this.busyUntil, time.now + ms)
    time.push(time.now + ms, IO, undefined, () => {
      if (!pending.isConnected && !this.#pending.has(pending)) return
      const { process } = machine
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
    })
  }

  #isCut(host: VirtualProcess, machine: Machine): boolean {
    return (this.#cuts.get(pairName(host, machine)) ?? 0) > this.#world.time.now
  }

  #serve(
    pending: Pending,
    process: Process,
    request: OperationRequest,
    sent: SimulatedRequest,
    options: SendOptions,
  ): void {
    const { driver } = process
    // It ends.
    if (driver === undefined) return
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
    if (isWatch(request)) {
      this.#watch(pending, process, front, request, options)
      return
    }
    front.serve(
      sent,
      () => !pending.host.live,
      (answered) => this.#answer(pending, answered),
    )
  }

  #answer(pending: Pending, answered: Answered): void {
    const { host, machine } = pending
    const ms = this.#delayMs(host, machine)
    if (ms === undefined) return
    host.after(ms, () => {
      pending.settle({ kind: 'answered', ...answered })
    })
  }

  #refuse(pending: Pending): void {
    const { host } = pending
    const cause = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' })
    host.after(TOLD_MS, () => pending.settle(failed(pending, cause, false)))
  }

  #reset(pending: Pending): void {
    const { host } = pending
    host.after(TOLD_MS, () => pending.settle(failed(pending, new Error('the connection was cut'), false)))
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
        const ms = this.#delayMs(host, machine) ?? this.#leftMs(host, machine)
        stream.readyAt = Math.max(stream.readyAt, time.now + ms)
        host.after(stream.readyAt - time.now, () => stream.received(line, isLast))
      },
      drained: () => void time.push(time.now, IO, process, () => watch?.drained()),
      left: () => {
        this.#watches.delete(stream)
        time.push(time.now, IO, process, () => watch?.cancel())
      },
    })
    front.watch(request, timeoutMs, stream, (begun) => {
      if ('status' in begun) return this.#answer(pending, begun)
      watch = begun.watch
      this.#watches.set(stream, { host, process })
      if (!host.live) {
        stream.abandon()
        return
      }
      stream.created(begun.revision, watch.from - 1)
      const head = { clusterId: process.driver?.clusterId, node: process.name }
      const ms = this.#delayMs(host, machine) ?? this.#leftMs(host, machine)
      host.after(ms, () => {
        if (this.#pending.has(pending)) pending.settle({ kind: 'streaming', head, stream })
        else stream.destroy()
      })
    })
  }

  #leftMs(host: VirtualProcess, machine: Machine): number {
    return (this.#cuts.get(pairName(host, machine)) ?? 0) - this.#world.time.now + this.#world.config.delayMs
  }

  #endWatch(stream: ClientStream): void {
    this.#watches.delete(stream)
    stream.reset()
  }
}

export const isWatch = (request: OperationRequest): request is WatchRequest => request.kind === 'watch'

export function simulatedRequest(
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

const pairName = (host: VirtualProcess, machine: Machine): string => `${host.number} ${machine.place}`

const failed = ({ isConnected }: Pending, cause: Error, timedOut: boolean): HttpOutcome =>
  isConnected
    ? { kind: 'maybe-applied', cause, timedOut }
    : { kind: 'not-sent', cause, reached: false, timedOut }

interface StreamOptions {
  /** Whether the records of its events have values. */
  readonly values: boolean
  /** How long its node may be silent. */
  readonly silentMs: number
  /** Sends a line to the client. */
  send(line: Uint8Array | undefined, isLast: boolean): void
  /** The client has taken what waited for it. */
  drained(): void
  /** The client has closed it. */
  left(): void
}

/** One watch: the end at its node, and the end at its client. */
export class ClientStream implements WatchSink, WatchMessages {
  /** When the last message arrives. */
  readyAt = 0
  readonly #options: StreamOptions
  readonly #received: DecodedWatchMessage[] = []
  /** Sent, and not taken by the client. */
  #untaken = 0
  #waits = false
  #isOver = false
  #end: Error | undefined
  #wake = (): void => {}

  constructor(options: StreamOptions) {
    this.#options = options
  }

  // ---- at its node

  get isFull(): boolean {
    return this.#untaken >= WAITING_MAX
  }

  created(revision: number, upTo: number): void {
    this.#send(NDJSON.created(asRevision(revision), upTo))
  }

  waits(): void {
    this.#waits = true
  }

  events(message: EventsMessage): void {
    this.#send(message.in(NDJSON))
  }

  progress(revision: Parameters<WatchSink['progress']>[0]): void {
    this.#send(NDJSON.progress(revision, revision))
  }

  ended(end: WatchEnd): void {
    this.#send(NDJSON.error(errorOfWatch(end)), true)
  }

  reset(): void {
    this.#options.send(undefined, true)
  }

  #send(line: Uint8Array, isLast = false): void {
    if (this.#isOver) return
    this.#untaken++
    this.#options.send(line, isLast)
  }

  // ---- at its client

  received(line: Uint8Array | undefined, isLast: boolean): void {
    const message = line && decodeWatchLine(line, this.#options.values)
    if (message !== undefined) this.#received.push(message)
    if (isLast) this.#end ??= new Error('the connection was cut')
    this.#wake()
  }

  async *messages(): AsyncGenerator<DecodedWatchMessage, void, undefined> {
    for (;;) {
      const message = this.#received.shift()
      if (message !== undefined) {
        this.#taken()
        yield message
        continue
      }
      if (this.#end !== undefined) throw this.#end
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      const stop = after(this.#options.silentMs, () => {
        this.#end ??= new Error('it has reported nothing for too long')
        resolve()
      })
      await promise
      stop()
    }
  }

  destroy(): void {
    this.#end ??= new Error('it was closed')
    this.abandon()
    this.#wake()
  }

  /** Its client runs no more. */
  abandon(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.left()
  }

  #taken(): void {
    this.#untaken--
    if (this.#untaken > 0 || !this.#waits) return
    this.#waits = false
    this.#options.drained()
  }
}
