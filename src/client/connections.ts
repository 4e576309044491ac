// Which nodes have a multiplexed connection, and when one is made. Until there is one, and where there is none, calls
// use HTTP: the connection makes many calls cheap, it is needed for none.

import { type Asked, AskedExchange } from './asked.ts'
import { Backoff } from './backoff.ts'
import type { Connection, Ending } from './connection.ts'
import type { Endpoint, Endpoints } from './endpoints.ts'
import type { Exchange, Transport } from './exchange.ts'
import type { Leader, Welcome } from './messages.ts'
import { isChange, WATCH } from './operation.ts'
import { after } from './timer.ts'
import { AskedWatch } from './watch-mux.ts'

/**
 * A client makes connections from this call on, or when so many calls are under way. Loading what is needed takes some
 * 20 ms, which a command with a few calls should not spend.
 */
const CALLS_BEFORE = 16
const UNDER_WAY = 8
/** After a proxy did not let it through, the next try is made after this time. */
export const REFUSED_MS = 60_000
/** So does one that cuts it so often before any answer. Once, the node may have stopped. */
const FRUITLESS_MAX = 2
/** Pauses after a failure. */
const PAUSE_BASE_MS = 100
const PAUSE_MAX_MS = 5_000

export interface Host {
  /** The id of the client's cluster, as far as it is known. */
  readonly clusterId: () => string | undefined
  /** Returns whether the node belongs to the client's cluster. */
  readonly onWelcome: (endpoint: Endpoint, welcome: Welcome) => boolean
}

/** undefined: it cannot go over this connection now. */
function ask(
  connection: Connection | undefined,
  asked: Pick<Asked, 'operation' | 'identity' | 'deadline'>,
): (Asked & Exchange) | undefined {
  const { operation } = asked
  if (connection?.takes(operation) !== true || !connection.knows(operation)) return undefined
  if (!connection.hasCredit(operation)) return undefined
  const exchange =
    operation.op === WATCH
      ? new AskedWatch(connection, { ...asked, operation, url: connection.url })
      : new AskedExchange(connection, asked)
  connection.ask(exchange)
  return exchange
}

class Line {
  connection: Connection | undefined
  readonly pauses = new Backoff(PAUSE_BASE_MS, PAUSE_MAX_MS)
  notBeforeMs = 0
  fruitless = 0
}

type Make = typeof Connection

export class Connections {
  readonly #host: Host
  readonly #lines = new Map<Endpoint, Line>()
  /** All that have not ended; also those of former endpoints. */
  readonly #open = new Set<Connection>()
  #calls = 0
  /** Who leads in the newest term that a node has told of, if there is a connection with it. */
  #leader: { readonly endpoint: Endpoint; readonly connection: Connection } | undefined
  #leaderTerm = 0
  #make: Make | undefined
  #loading: Promise<void> | undefined
  #isOff: boolean
  /** Resolves when a connection is made or has ended, and at the end. */
  #change = Promise.withResolvers<void>()

  constructor(host: Host, isOff: boolean) {
    this.#host = host
    this.#isOff = isOff
  }

  /** Number of operations that somebody waits for. */
  get waiting(): number {
    return [...this.#open].reduce((sum, connection) => sum + connection.waiting, 0)
  }

  /** A call begins. Returns whether there may be connections. */
  areWanted(underWay: number): boolean {
    if (this.#make !== undefined) return true
    if (this.#isOff || this.#loading !== undefined) return false
    this.#calls += 1
    if (this.#calls >= CALLS_BEFORE || underWay >= UNDER_WAY) void this.#load()
    return false
  }

  /**
   * The endpoint of the leader, for a change: another node would pass it on. Otherwise the next endpoint that has a
   * connection and may be asked. Makes connections to those that have none.
   */
  pick(endpoints: Endpoints, nowMs: number, forChange: boolean): Endpoint | undefined {
    const leader = forChange ? this.#leader : undefined
    if (leader?.connection.isUsable === true && leader.endpoint.allows(nowMs)) return leader.endpoint
    return endpoints.pickWhere((endpoint) => endpoint.allows(nowMs) && this.#isReady(endpoint, nowMs))
  }

  /** The connection of an endpoint, if it may be used. */
  of(endpoint: Endpoint): Connection | undefined {
    const connection = this.#lines.get(endpoint)?.connection
    return connection?.isUsable === true ? connection : undefined
  }

  /**
   * Operations go over the connection of their endpoint, if there is one that can send them now; other requests over
   * `transport`.
   */
  or(transport: Pick<Transport, 'exchange'>): Pick<Transport, 'exchange'> {
    return {
      exchange: (endpoint, outgoing, options) => {
        const { operation, identity } = outgoing
        const connection = operation && this.of(endpoint)
        const deadline = performance.now() + options.timeoutMs
        const asked = operation && ask(connection, { operation, identity, deadline })
        return asked ?? transport.exchange(endpoint, outgoing, options)
      },
    }
  }

  /**
   * The first try of an operation that is seldom, as for those of `fast.ts`: to the leader, if it is a change.
   * undefined: no connection can send it now. `areWanted` has said that there may be connections.
   */
  firstTry(
    endpoints: Endpoints,
    nowMs: number,
    asked: Pick<Asked, 'operation' | 'identity' | 'deadline'>,
  ): { readonly endpoint: Endpoint; readonly exchange: Exchange } | undefined {
    const endpoint = this.pick(endpoints, nowMs, isChange(asked.operation))
    const exchange = endpoint && ask(this.of(endpoint), asked)
    return endpoint && exchange && { endpoint, exchange }
  }

  /**
   * For what stays where it begins: resolves after `first`, when there is a connection or none is being made, at the
   * latest after `timeoutMs`.
   */
  async settled(endpoints: Endpoints, first: Promise<void>, timeoutMs: number): Promise<void> {
    if (this.#isOff || this.#isAnyReady(endpoints)) return
    let isOver = false
    let stop = () => {}
    const timedOut = new Promise<void>((resolve) => {
      // It keeps the process alive, which the connection that is being made does not.
      stop = after(timeoutMs, resolve)
    }).then(() => {
      isOver = true
    })
    await Promise.race([first, timedOut])
    await this.#load()
    while (!isOver && !this.#isOff && !this.#isAnyReady(endpoints) && this.#isConnecting)
      await Promise.race([this.#change.promise, timedOut])
    stop()
  }

  /** Connections to other endpoints end. */
  keep(endpoints: readonly Endpoint[]): void {
    for (const [endpoint, { connection }] of this.#lines) {
      if (endpoints.includes(endpoint)) continue
      this.#lines.delete(endpoint)
      connection?.retire()
    }
  }

  close(): void {
    this.#isOff = true
    this.#make = undefined
    for (const connection of this.#open) connection.close()
    this.#wake()
  }

  #wake(): void {
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }

  /** Makes connections to those that have none. */
  #isAnyReady(endpoints: Endpoints): boolean {
    const nowMs = performance.now()
    return (
      endpoints.all.filter((endpoint) => endpoint.allows(nowMs) && this.#isReady(endpoint, nowMs)).length > 0
    )
  }

  get #isConnecting(): boolean {
    return [...this.#lines.values()].some(({ connection }) => connection?.isUsable === false)
  }

  /** A node has told who leads in a term, or that it knows no leader. */
  #noteLeader({ term, name }: Leader): void {
    if (term < this.#leaderTerm) return
    this.#leaderTerm = term
    this.#leader = undefined
    for (const [endpoint, { connection }] of this.#lines) {
      if (connection !== undefined && connection.node === name) this.#leader = { endpoint, connection }
    }
  }

  #load(): Promise<void> {
    this.#loading ??= import('./connection.ts').then(
      ({ Connection }) => {
        if (!this.#isOff) this.#make = Connection
      },
      // Without these packages HTTP serves.
      () => {},
    )
    return this.#loading
  }

  #isReady(endpoint: Endpoint, nowMs: number): boolean {
    let line = this.#lines.get(endpoint)
    if (line === undefined) {
      line = new Line()
      this.#lines.set(endpoint, line)
    }
    if (line.connection !== undefined) return line.connection.isUsable
    if (nowMs >= line.notBeforeMs) this.#connect(endpoint, line)
    return false
  }

  #connect(endpoint: Endpoint, line: Line): void {
    const clusterId = this.#host.clusterId()
    if (this.#make === undefined || clusterId === undefined) return
    const connection = new this.#make(endpoint, clusterId, {
      onWelcome: (welcome) => this.#host.onWelcome(endpoint, welcome),
      onLeader: (leader) => {
        this.#noteLeader(leader)
        this.#wake()
      },
      onEnd: (ending: Ending) => {
        line.connection = undefined
        this.#open.delete(connection)
        if (ending === 'lost') line.pauses.reset()
        line.fruitless = ending === 'fruitless' ? line.fruitless + 1 : 0
        const isUseless = ending === 'refused' || line.fruitless >= FRUITLESS_MAX
        const pauseMs = isUseless ? REFUSED_MS : line.pauses.next()
        line.notBeforeMs = performance.now() + pauseMs
        this.#wake()
      },
    })
    line.connection = connection
    this.#open.add(connection)
  }
}
