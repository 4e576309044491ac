// Clients of watches: each has one watch, over many connections, and continues where the last one ended, on any node.
// Every message is recorded on arrival. Most clients read the HTTP stream itself; some are slow, so that their node
// must read history for them. library-watch-clients.ts has those of the client library.

import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { text } from 'node:stream/consumers'
import { splitLines } from '../../src/client/list.ts'
import { pause } from '../../src/client/timer.ts'
import { secureOptions } from '../../src/client/tls.ts'
import type { ClientTls } from '../../src/client/types.ts'
import { HOST } from '../../src/local/addresses.ts'
import { isObject } from '../../src/operations/forms/decode.ts'
import type { WatchedEvent, WatchedRow, WatchMessage, WatchSelection } from '../checker/watch/index.ts'
import { FIRST_REVISION, type Recorder } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import type { NodeAddress } from './http.ts'
import { asWholeNumber, REFUSALS } from './perform.ts'
import { nameFromBody } from './values.ts'

const PROGRESS_MS = 300
/** A client leaves a node that has sent nothing for this long. */
const SILENT_MS = 3_000
const BEGIN_MS = 2_000
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
  /** Whether the client reads server-sent events and resumes after the last id, as browsers do, not lines of JSON. */
  readonly isBrowser?: boolean
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

export class HttpWatchClients implements WatchClients {
  readonly client: string
  readonly done: Promise<void>
  upTo = 0
  id: number | undefined
  readonly #options: WatchClientOptions
  #from: number | undefined
  #isHurried = false

  constructor(options: WatchClientOptions) {
    this.client = options.client
    this.#options = options
    this.#from = options.selection.from
    this.done = this.#run()
  }

  /** Makes the client stay at its node and read without pauses. */
  hurry(): void {
    this.#isHurried = true
  }

  async #run(): Promise<void> {
    const { signal, random, targets } = this.#options
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
    const { selection, client, recorder, random, signal, moves, tls } = this.#options
    const from = this.#from
    const departure = new AbortController()
    const watched = { ...selection, ...(from !== undefined && { from }) }
    const id = recorder.watch(client, target.name, watched)
    const departureTimer = moves
      ? setTimeout(() => !this.#isHurried && departure.abort(), random.between(STAYS_MS.min, STAYS_MS.max))
      : undefined
    try {
      const stream = await openStream(
        target.port,
        tls,
        this.#watchRequest(watched),
        AbortSignal.any([signal, departure.signal]),
      )
      if (stream.statusCode !== 200) {
        this.#handleRefusal(id, stream.statusCode ?? 0, await text(stream), from)
        return
      }
      this.id = id
      const silence = new Silence(() => stream.destroy(abortError()))
      try {
        const texts = this.#options.isBrowser ? parseServerSentEvents(splitLines(stream)) : splitLines(stream)
        for await (const text of texts) {
          silence.noteContact()
          const messages = this.#decodeMessage(text.toString(), from)
          if (messages === undefined) return
          recorder.watchMessage(id, messages)
          if (messages.kind === 'compacted' || messages.kind === 'stopped') return
          await this.#pauseIfSlow(stream)
        }
      } finally {
        silence.end()
        stream.destroy()
      }
    } finally {
      clearTimeout(departureTimer)
    }
  }

  /** Records the refusal of a watch whose next events are compacted. Reports one that no node should send. */
  #handleRefusal(id: number, status: number, body: string, from: number | undefined): void {
    if (REFUSALS.has(status)) return
    const { code, compact_revision, resume_from } = parseObject(body) ?? {}
    const [compactRevision, resumeFrom] = [asWholeNumber(compact_revision), asWholeNumber(resume_from)]
    const isCompacted = status === 410 && code === 'compacted' && from !== undefined
    if (!isCompacted || compactRevision === undefined || resumeFrom === undefined) {
      this.#options.report(`a watch was refused with ${status}: ${body.slice(0, 300)}`)
      return
    }
    const next = Math.max(FIRST_REVISION + 1, from)
    this.#options.recorder.watchMessage(id, { kind: 'compacted', next, compactRevision, resumeFrom })
    this.#from = resumeFrom
  }

  /** A browser sends back the id of the last event that it received. */
  #watchRequest(watched: WatchSelection): {
    readonly target: string
    readonly headers: Record<string, string>
  } {
    const { isBrowser, selection } = this.#options
    if (!isBrowser) return { target: watchTarget(watched), headers: { Accept: 'application/x-ndjson' } }
    const { from } = watched
    const last = from === undefined || from === selection.from ? {} : { 'Last-Event-ID': String(from - 1) }
    return { target: watchTarget(selection), headers: { Accept: 'text/event-stream', ...last } }
  }

  async #pauseIfSlow(stream: IncomingMessage): Promise<void> {
    const { isSlow, random, signal } = this.#options
    if (!isSlow || this.#isHurried || !random.chance(0.02)) return
    stream.pause()
    await pause(random.between(SLOW_MS.min, SLOW_MS.max), signal)
  }

  /** The message of a line; undefined: it is none, which is reported. */
  #decodeMessage(line: string, from: number | undefined): WatchMessage | undefined {
    const message = parseObject(line)
    const revision = asWholeNumber(message?.revision)
    const id = message?.id
    // Before its first revision exists, a watch receives the progress of the store with the id before that revision.
    const lowest = message?.type === 'progress' ? (this.#from ?? 0) - 1 : 0
    if (id !== undefined && message?.type !== 'created' && id !== Math.max(revision ?? 0, lowest)) {
      this.#options.report(`a watch received an id that is not its revision: ${line.slice(0, 300)}`)
      return undefined
    }
    switch (message?.type) {
      case 'created': {
        if (revision === undefined) break
        const begins = Math.max(2, from ?? revision + 1)
        if (id !== undefined && id !== begins - 1) break
        this.#from = begins
        this.upTo = Math.max(this.upTo, begins - 1)
        return { kind: 'created', revision, from: begins }
      }
      case 'progress':
        if (revision === undefined) break
        this.#noteReceived(revision)
        return { kind: 'progress', revision }
      case 'events': {
        const events = Array.isArray(message.events) ? message.events.map(decodeEvent) : []
        if (revision === undefined || events.length === 0 || events.includes(undefined)) break
        this.#noteReceived(revision)
        return { kind: 'events', revision, events: events.filter((event) => event !== undefined) }
      }
      case 'error': {
        const resumeFrom = asWholeNumber(message.resume_from)
        const compactRevision = asWholeNumber(message.compact_revision)
        if (resumeFrom === undefined) break
        const next = this.#from ?? 0
        this.#from = resumeFrom
        if (message.code === 'compacted' && compactRevision !== undefined)
          return { kind: 'compacted', next, compactRevision, resumeFrom }
        return { kind: 'stopped', resumeFrom }
      }
    }
    // The last line of a connection that was cut may end in the middle.
    if (message === undefined) return undefined
    this.#options.report(`a watch received what no server should send: ${line.slice(0, 300)}`)
    return undefined
  }

  #noteReceived(revision: number): void {
    this.upTo = Math.max(this.upTo, revision)
    this.#from = Math.max(this.#from ?? 0, revision + 1)
  }
}

/** Server-sent events, each as a line of JSON would be, with its id. */
async function* parseServerSentEvents(lines: AsyncIterable<Buffer>): AsyncGenerator<string, void, undefined> {
  let event: Record<string, string> = {}
  for await (const line of lines) {
    const [, name = '', value = ''] = /^([a-z]+): ?(.*)$/s.exec(line.toString()) ?? []
    if (name !== '') event[name] = value
    if (line.length > 0) continue
    const { event: type = 'events', id, data = '' } = event
    event = {}
    yield JSON.stringify({ ...parseObject(data), type, ...(id !== undefined && { id: Number(id) }) })
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

const abortError = (): Error => Object.assign(new Error('nothing was received'), { code: 'SILENT' })

async function openStream(
  port: number,
  tls: ClientTls | undefined,
  { target, headers }: { readonly target: string; readonly headers: Record<string, string> },
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const timer = setTimeout(() => request.destroy(abortError()), BEGIN_MS + 500)
    const get = tls === undefined ? httpGet : httpsGet
    const options = { host: HOST, port, path: target, headers, signal, agent: false }
    const request = get(
      tls === undefined ? options : { ...options, ...secureOptions(tls, HOST) },
      (answer) => {
        clearTimeout(timer)
        resolve(answer)
      },
    )
    request.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
  response.on('error', () => {})
  return response
}

function watchTarget({ key, start, end, from, only, prev, values }: WatchSelection): string {
  const query = Object.entries({
    key,
    start: start === '' ? undefined : start,
    end,
    from,
    only,
    prev: prev ? true : undefined,
    values: values ? undefined : false,
    progress: `${PROGRESS_MS}ms`,
    timeout: `${BEGIN_MS}ms`,
  })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
  return `/v1/watch?${query.join('&')}`
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const message: unknown = JSON.parse(line)
    return isObject(message) ? message : undefined
  } catch {
    // A line that ends in the middle: the connection was cut.
    return undefined
  }
}

function decodeEvent(event: unknown): WatchedEvent | undefined {
  if (!isObject(event)) return undefined
  const before = event.prev
  const prev = before === undefined ? {} : { prev: before === null ? null : decodeRow(before) }
  if (event.type === 'put') {
    const record = decodeRow(event.kv)
    return record && { key: record.key, type: 'put', record, ...prev }
  }
  const { key } = event
  return event.type === 'delete' && typeof key === 'string' ? { key, type: 'delete', ...prev } : undefined
}

type DecodedRow = Omit<WatchedRow, 'value'> & { readonly value?: string | undefined }

function decodeRow(record: unknown): DecodedRow | undefined {
  if (!isObject(record)) return undefined
  const { key, value, lease } = record
  const [createRevision, modRevision, version] = [
    asWholeNumber(record.create_revision),
    asWholeNumber(record.mod_revision),
    asWholeNumber(record.version),
  ]
  if (
    typeof key !== 'string' ||
    createRevision === undefined ||
    modRevision === undefined ||
    version === undefined
  )
    return undefined
  return {
    key,
    createRevision,
    modRevision,
    version,
    ...(typeof value === 'string' && { value: nameFromBody(value) }),
    ...(typeof lease === 'string' && { lease }),
  }
}
