// Clients of watches: each has one watch, over many connections, and continues where the last one ended, on any node.
// Every message is recorded on arrival. Some clients are slow, so that their node must read history for them. Each wire
// has its own; library-watch-clients.ts has those of the client library.

import { pause } from '../../../src/client/timer.ts'
import type { ClientTls } from '../../../src/client/types.ts'
import type { WatchMessage, WatchSelection } from '../../checker/watch/index.ts'
import type { Recorder } from '../../workload/history.ts'
import type { Random } from '../../workload/random.ts'
import type { NodeAddress } from './wire.ts'

/** Interval of the progress that clients request. */
export const PROGRESS_MS = 300
/** A client leaves a node that has sent nothing for this long. */
const SILENT_MS = 3_000
/** How long a node has to begin a watch. */
export const BEGIN_MS = 2_000
const AGAIN_MS = 200
/** How long a client stays at a node. */
const STAYS_MS = { min: 500, max: 12_000 }
/** How long a slow client reads nothing. */
const SLOW_MS = { min: 200, max: 3_000 }

export interface WatchClientOptions {
  readonly client: string
  readonly selection: WatchSelection
  readonly random: Random
  readonly recorder: Recorder
  readonly targets: () => readonly NodeAddress[]
  readonly tls?: ClientTls | undefined
  /** Whether the client uses the other form of the wire: server-sent events over HTTP, parts of responses in gRPC. */
  readonly usesOtherForm?: boolean
  /** Whether the client reads nothing for a while, now and then. */
  readonly isSlow: boolean
  /** Whether the client leaves its node now and then. */
  readonly moves: boolean
  readonly signal: AbortSignal
  /** Called with a message that no server should send. */
  readonly report: (message: string) => void
}

/** A client that receives its events until its signal fires. */
export interface WatchClients {
  readonly client: string
  /** Revision up to which the client has received everything. */
  readonly upTo: number
  /** The id of the present watch in the history; undefined: there is none. */
  readonly id: number | undefined
  readonly done: Promise<void>
}

/** One connection of a watch. */
export interface NodeWatch {
  /** Its messages in their order. It throws an error with a `code` when the connection was cut. */
  readonly messages: AsyncIterable<WatchMessage>
  /** Reads nothing until the next message is taken. */
  pause(): void
  end(error?: Error): void
}

/** Clients that read the responses of the nodes themselves. */
export abstract class NodeWatchClients implements WatchClients {
  readonly client: string
  readonly done: Promise<void>
  upTo = 0
  id: number | undefined
  protected readonly options: WatchClientOptions
  /** The next revision that the client needs. */
  protected from: number | undefined
  #isHurried = false

  constructor(options: WatchClientOptions) {
    this.client = options.client
    this.options = options
    this.from = options.selection.from
    this.done = Promise.resolve().then(() => this.#run())
  }

  /** Requests the watch. undefined: it was refused, which is recorded or reported. */
  protected abstract open(
    target: NodeAddress,
    id: number,
    watched: WatchSelection,
    signal: AbortSignal,
  ): Promise<NodeWatch | undefined>

  /** Makes the client stay at its node and read without pauses. */
  hurry(): void {
    this.#isHurried = true
  }

  /** The watch begins: the revision of the store, and that of the first event that it may receive. */
  protected noteCreated(begins: number): void {
    this.from = begins
    this.upTo = Math.max(this.upTo, begins - 1)
  }

  protected noteReceived(revision: number): void {
    this.upTo = Math.max(this.upTo, revision)
    this.from = Math.max(this.from ?? 0, revision + 1)
  }

  async #run(): Promise<void> {
    const { signal, random, targets } = this.options
    while (!signal.aborted) {
      const target = random.pick(targets())
      await this.#readConnection(target).catch((error: unknown) => {
        // A node that is gone, or a connection that was cut: another one continues.
        if (!(error instanceof Error && ('code' in error || error.name === 'AbortError'))) throw error
      })
      this.id = undefined
      await pause(AGAIN_MS, signal)
    }
  }

  async #readConnection(target: NodeAddress): Promise<void> {
    const { selection, client, recorder, random, signal, moves } = this.options
    const { from } = this
    const departure = new AbortController()
    const watched = { ...selection, ...(from !== undefined && { from }) }
    const id = recorder.watch(client, target.name, watched)
    const departureTimer = moves
      ? setTimeout(() => !this.#isHurried && departure.abort(), random.between(STAYS_MS.min, STAYS_MS.max))
      : undefined
    try {
      const connection = await this.open(target, id, watched, AbortSignal.any([signal, departure.signal]))
      if (connection === undefined) return
      const silence = new Silence(() => connection.end(codedError('SILENT', 'nothing was received')))
      try {
        for await (const message of connection.messages) {
          silence.noteContact()
          recorder.watchMessage(id, message)
          this.id = id
          if (message.kind === 'compacted' || message.kind === 'stopped') return
          await this.#pauseIfSlow(connection)
        }
      } finally {
        silence.end()
        connection.end()
      }
    } finally {
      clearTimeout(departureTimer)
    }
  }

  async #pauseIfSlow(connection: NodeWatch): Promise<void> {
    const { isSlow, random, signal } = this.options
    if (!isSlow || this.#isHurried || !random.chance(0.02)) return
    connection.pause()
    await pause(random.between(SLOW_MS.min, SLOW_MS.max), signal)
  }
}

/** Calls back when a connection has received nothing for `SILENT_MS`. */
class Silence {
  readonly #onSilence: () => void
  #timer: NodeJS.Timeout

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence
    this.#timer = setTimeout(onSilence, SILENT_MS)
  }

  noteContact(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#onSilence, SILENT_MS)
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}

/** An error as a cut connection has it. */
export const codedError = (code: string, text: string): Error => Object.assign(new Error(text), { code })
