// Clients on both sides of the partition, with a separate stream of requests for each level. A stream sends its
// requests at random times, which do not depend on the answers to earlier ones. A client that waits for each answer
// sends fewer requests when answers are slow or missing, so the store would look better than it is. In a history a
// client has one open request at a time, so a stream uses as many clients as it needs.

import { pause } from '../../src/client/timer.ts'
import { HttpWireClient } from '../local/wires/http/wire-client.ts'
import type { Recorder } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import {
  clientName,
  LEVELS,
  type Level,
  levelOperation,
  type PartitionSide,
  resultRevision,
  SIDES,
} from './levels.ts'

interface StudyNode {
  readonly name: string
  readonly port: number
}

export interface LoadOptions {
  /** The nodes that the clients of each side may ask. */
  readonly sides: Readonly<Record<PartitionSide, readonly StudyNode[]>>
  readonly keys: readonly string[]
  /** Requests a second of each stream. */
  readonly rate: number
  /** The deadline of a request. */
  readonly timeoutMs: number
  readonly maxStalenessMs: number
  readonly recorder: Recorder
  readonly random: Random
  /** Called with each answer that no server should give. */
  readonly report: (message: string) => void
  /** Every value that is written begins with it; no other load uses it. */
  readonly name: string
}

export class StudyLoad {
  readonly #options: LoadOptions
  readonly #abort = new AbortController()
  readonly #streams: Promise<void>[]
  readonly #open = new Set<Promise<void>>()
  readonly #clients: HttpWireClient[] = []
  #newest: number | undefined
  #written = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#streams = LEVELS.flatMap((level) => SIDES.map((side) => this.#stream(level, side)))
  }

  /** Sends no more requests; resolves when all requests that were sent have ended. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await Promise.all(this.#streams)
    await Promise.all(this.#open)
    for (const client of this.#clients) client.close()
  }

  async #stream(level: Level, side: PartitionSide): Promise<void> {
    const { rate, random } = this.#options
    const { signal } = this.#abort
    const draw = random.named(`${level} ${side}`)
    const idle: Client[] = []
    const session: Session = { seen: undefined }
    let clients = 0
    let due = performance.now() + (draw.next() * 1_000) / rate
    for (;;) {
      await pause(Math.max(0, due - performance.now()), signal)
      if (signal.aborted) return
      // At most one and a half periods apart, so a longer silence comes from the store.
      due += ((0.5 + draw.next()) * 1_000) / rate
      const client = idle.pop() ?? this.#newClient(clientName(level, side, ++clients))
      const ended = this.#send(level, side, client, draw, session).then(() => {
        // Last in, first out: while answers are quick, the same few clients are used, with open connections.
        idle.push(client)
        this.#open.delete(ended)
      })
      this.#open.add(ended)
    }
  }

  async #send(
    level: Level,
    side: PartitionSide,
    client: Client,
    draw: Random,
    session: Session,
  ): Promise<void> {
    const { sides, keys, timeoutMs, maxStalenessMs, recorder, report, name } = this.#options
    const target = draw.pick(sides[side])
    const knowledge = {
      newest: this.#newest,
      seen: session.seen,
      maxStalenessMs,
      value: `${name}.${++this.#written}`,
    }
    const op = levelOperation(level, draw.pick(keys), knowledge)
    const id = recorder.invoke(client.name, target.name, op)
    const end = await client.http.perform(target.port, op, timeoutMs)
    if (end.kind !== 'ok' && end.wrong !== undefined)
      report(`operation ${id} (${level}, ${side}) got an answer that no server should give: ${end.wrong}`)
    recorder.end(id, end)
    if (end.kind === 'ok') {
      const revision = resultRevision(end.result) ?? 0
      session.seen = Math.max(session.seen ?? 0, revision)
      this.#newest = Math.max(this.#newest ?? 0, revision)
    }
  }

  #newClient(name: string): Client {
    const http = new HttpWireClient()
    this.#clients.push(http)
    return { name, http }
  }
}

interface Client {
  readonly name: string
  readonly http: HttpWireClient
}

/** Shared by all clients of one stream: together they are one user. */
interface Session {
  seen: number | undefined
}
