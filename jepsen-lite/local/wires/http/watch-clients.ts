// Clients that read the stream of a watch over HTTP: lines of JSON, or server-sent events as browsers do.

import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'
import { text } from 'node:stream/consumers'
import { splitLines } from '../../../../src/client/list.ts'
import { secureOptions } from '../../../../src/client/tls.ts'
import type { ClientTls } from '../../../../src/client/types.ts'
import { HOST } from '../../../../src/local/addresses.ts'
import { isObject } from '../../../../src/operations/forms/decode.ts'
import type { WatchedEvent, WatchedRow, WatchMessage, WatchSelection } from '../../../checker/watch/index.ts'
import { FIRST_REVISION } from '../../../workload/history.ts'
import { nameFromBody } from '../../values.ts'
import { BEGIN_MS, codedError, type NodeWatch, NodeWatchClients, PROGRESS_MS } from '../watch-clients.ts'
import { GRACE_MS, type NodeAddress } from '../wire.ts'
import { asWholeNumber, REFUSALS } from './key-requests.ts'

export class HttpWatchClients extends NodeWatchClients {
  protected async open(
    target: NodeAddress,
    id: number,
    watched: WatchSelection,
    signal: AbortSignal,
  ): Promise<NodeWatch | undefined> {
    const { from } = watched
    const stream = await openStream(target.port, this.options.tls, this.#watchRequest(watched), signal)
    if (stream.statusCode !== 200) {
      this.#handleRefusal(id, stream.statusCode ?? 0, await text(stream), from)
      return undefined
    }
    return {
      messages: this.#readMessages(stream, from),
      pause: () => void stream.pause(),
      end: (error) => void stream.destroy(error),
    }
  }

  async *#readMessages(
    stream: IncomingMessage,
    from: number | undefined,
  ): AsyncGenerator<WatchMessage, void, undefined> {
    const isBrowser = this.options.usesOtherForm === true
    for await (const line of isBrowser ? parseServerSentEvents(splitLines(stream)) : splitLines(stream)) {
      const message = this.#decodeMessage(line.toString(), from)
      if (message === undefined) return
      yield message
    }
  }

  /** Records the refusal of a watch whose next events are compacted. Reports one that no node should send. */
  #handleRefusal(id: number, status: number, body: string, from: number | undefined): void {
    if (REFUSALS.has(status)) return
    const { code, compact_revision, resume_from } = parseObject(body) ?? {}
    const [compactRevision, resumeFrom] = [asWholeNumber(compact_revision), asWholeNumber(resume_from)]
    const isCompacted = status === 410 && code === 'compacted' && from !== undefined
    if (!isCompacted || compactRevision === undefined || resumeFrom === undefined) {
      this.options.report(`a watch was refused with ${status}: ${body.slice(0, 300)}`)
      return
    }
    const next = Math.max(FIRST_REVISION + 1, from)
    this.options.recorder.watchMessage(id, { kind: 'compacted', next, compactRevision, resumeFrom })
    this.from = resumeFrom
  }

  /** A browser sends back the id of the last event that it received. */
  #watchRequest(watched: WatchSelection): {
    readonly target: string
    readonly headers: Record<string, string>
  } {
    const { usesOtherForm, selection } = this.options
    if (usesOtherForm !== true)
      return { target: watchTarget(watched), headers: { Accept: 'application/x-ndjson' } }
    const { from } = watched
    const last = from === undefined || from === selection.from ? {} : { 'Last-Event-ID': String(from - 1) }
    return { target: watchTarget(selection), headers: { Accept: 'text/event-stream', ...last } }
  }

  /** The message of a line; undefined: it is none, which is reported. */
  #decodeMessage(line: string, from: number | undefined): WatchMessage | undefined {
    const message = parseObject(line)
    const revision = asWholeNumber(message?.revision)
    const id = message?.id
    // Before its first revision exists, a watch receives the progress of the store with the id before that revision.
    const lowest = message?.type === 'progress' ? (this.from ?? 0) - 1 : 0
    if (id !== undefined && message?.type !== 'created' && id !== Math.max(revision ?? 0, lowest)) {
      this.options.report(`a watch received an id that is not its revision: ${line.slice(0, 300)}`)
      return undefined
    }
    switch (message?.type) {
      case 'created': {
        if (revision === undefined) break
        const begins = Math.max(2, from ?? revision + 1)
        if (id !== undefined && id !== begins - 1) break
        this.noteCreated(begins)
        return { kind: 'created', revision, from: begins }
      }
      case 'progress':
        if (revision === undefined) break
        this.noteReceived(revision)
        return { kind: 'progress', revision }
      case 'events': {
        const events = Array.isArray(message.events) ? message.events.map(decodeEvent) : []
        if (revision === undefined || events.length === 0 || events.includes(undefined)) break
        this.noteReceived(revision)
        return { kind: 'events', revision, events: events.filter((event) => event !== undefined) }
      }
      case 'error': {
        const resumeFrom = asWholeNumber(message.resume_from)
        const compactRevision = asWholeNumber(message.compact_revision)
        if (resumeFrom === undefined) break
        const next = this.from ?? 0
        this.from = resumeFrom
        if (message.code === 'compacted' && compactRevision !== undefined)
          return { kind: 'compacted', next, compactRevision, resumeFrom }
        return { kind: 'stopped', resumeFrom }
      }
    }
    // The last line of a connection that was cut may end in the middle.
    if (message === undefined) return undefined
    this.options.report(`a watch received what no server should send: ${line.slice(0, 300)}`)
    return undefined
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

async function openStream(
  port: number,
  tls: ClientTls | undefined,
  { target, headers }: { readonly target: string; readonly headers: Record<string, string> },
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const timer = setTimeout(
      () => request.destroy(codedError('SILENT', 'nothing was received')),
      BEGIN_MS + GRACE_MS,
    )
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
