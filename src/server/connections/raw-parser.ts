// Parses the plain form of a request that changes or reads one key, or shows the cluster. All other forms are left to
// node:http, so nothing is accepted that node:http would refuse or read differently; a test compares the two. This
// parser exists because node:http costs more than all other work of the listener for a small write: a third of the cost
// of a request.

import type { IncomingHttpHeaders } from 'node:http'
import type { RequestStart } from './messages.ts'

export interface RawRequest extends RequestStart {
  readonly body: Uint8Array
  /** Length of head and body together. */
  readonly bytes: number
}

export const HEAD_BYTES_MAX = 8 * 1024
export const BODY_BYTES_MAX = 64 * 1024
/** Longer fields are read each time: an idle connection must not keep them. */
const KEPT_FIELDS_MAX = 1024

interface Fields {
  /** The fields as they are written in the head. */
  readonly text: string
  readonly headers: IncomingHttpHeaders
  /** Length of the body. */
  readonly length: number
}

/** Reads the requests of one connection. A client sends the same header fields each time, so they are read once. */
export class RawParser {
  readonly #headBytesMax: number
  #last: Fields = { text: '', headers: Object.freeze({}), length: 0 }

  /** Node:http refuses a head that is longer than `headBytesMax`. */
  constructor(headBytesMax: number) {
    this.#headBytesMax = Math.min(HEAD_BYTES_MAX, headBytesMax)
  }

  /** `incomplete`: the request is plain so far. `uncommon`: node:http must read it. */
  read(bytes: Buffer): RawRequest | 'incomplete' | 'uncommon' {
    const headEnd = bytes.indexOf(EMPTY_LINE)
    if (headEnd > this.#headBytesMax || (headEnd < 0 && bytes.length > this.#headBytesMax)) return 'uncommon'
    if (headEnd < 0) return 'incomplete'
    const head = bytes.toString('latin1', 0, headEnd + LINE_END.length)
    const lineEnd = head.indexOf(LINE_END)
    const methodEnd = head.indexOf(' ')
    const method = head.slice(0, methodEnd)
    const url = head.slice(methodEnd + 1, lineEnd - VERSION.length)
    const isPlain = METHODS.has(method) && PLAIN_TARGET.test(url) && head.endsWith(VERSION, lineEnd)
    const fields = isPlain ? this.#parseFields(head.slice(lineEnd + LINE_END.length)) : undefined
    if (fields === undefined) return 'uncommon'
    const bodyAt = headEnd + EMPTY_LINE.length
    const end = bodyAt + fields.length
    if (bytes.length < end) return 'incomplete'
    const body = bytes.subarray(bodyAt, end)
    return { method, url, httpVersion: '1.1', headers: fields.headers, hosts: 1, body, bytes: end }
  }

  #parseFields(text: string): Fields | undefined {
    if (text === this.#last.text) return this.#last
    const headers = readFields(text)
    const length = headers && bodyLength(headers)
    if (headers === undefined || length === undefined) return undefined
    const fields = { text, headers: Object.freeze(headers), length }
    if (text.length <= KEPT_FIELDS_MAX) this.#last = fields
    return fields
  }
}

/**
 * A complete request at the beginning of `bytes` for another protocol at one of these targets, plain in every other
 * respect.
 */
export function readUpgrade(bytes: Buffer, targets: RegExp): RawRequest | undefined {
  const headEnd = bytes.indexOf(EMPTY_LINE)
  if (headEnd < 0 || headEnd > HEAD_BYTES_MAX) return undefined
  const head = bytes.toString('latin1', 0, headEnd + LINE_END.length)
  const lineEnd = head.indexOf(LINE_END)
  const line = head.slice(0, lineEnd)
  const url = line.slice('GET '.length, -VERSION.length)
  if (!line.startsWith('GET ') || !line.endsWith(VERSION) || !targets.test(url)) return undefined
  const headers = readFields(head.slice(lineEnd + LINE_END.length), UPGRADE)
  if (headers?.upgrade === undefined || bodyLength(headers) !== 0) return undefined
  const end = headEnd + EMPTY_LINE.length
  const body = bytes.subarray(end, end)
  return { method: 'GET', url, httpVersion: '1.1', headers, hosts: 1, body, bytes: end }
}

export const EMPTY_LINE = Buffer.from('\r\n\r\n')
const LINE_END = '\r\n'
const VERSION = ' HTTP/1.1'

const METHODS = new Set(['GET', 'HEAD', 'PUT', 'DELETE'])
/**
 * The target of one key, in the path or, as the client writes keys with empty segments, in the query; or of the
 * cluster, which each client reads now and then on the connection of its changes. Visible ASCII only.
 */
const PLAIN_TARGET = /^\/v1\/(?:kv(?:\/|\?key=)|cluster(?:\?|$))[!-~]*$/
/** At most one space before the value, none after it. */
const FIELD = /([A-Za-z0-9-]+): ?([!-~](?:[ -~]*[!-~])?)\r\n/y

/** Fields that change how the message or the connection is read. */
const FRAMING = new Set(['transfer-encoding', 'trailer', 'expect', 'upgrade', 'proxy-connection'])
const NOTHING: ReadonlySet<string> = new Set()
const UPGRADE: ReadonlySet<string> = new Set(['connection', 'upgrade'])

/**
 * The fields by name in lower case; undefined if one is not plain or appears twice. `allowed` fields may have any
 * value.
 */
function readFields(text: string, allowed = NOTHING): IncomingHttpHeaders | undefined {
  const headers: Record<string, string> = {}
  for (let at = 0; at < text.length; at = FIELD.lastIndex) {
    FIELD.lastIndex = at
    const field = FIELD.exec(text)
    if (field === null) return undefined
    const [, mixedCase = '', value = ''] = field
    const name = mixedCase.toLowerCase()
    // This is also true for properties of every object, such as `constructor`. Such a field is rare, and node:http
    // reads it.
    if (name in headers || (FRAMING.has(name) && !allowed.has(name))) return undefined
    if (name === 'connection' && value.toLowerCase() !== 'keep-alive' && !allowed.has(name)) return undefined
    headers[name] = value
  }
  return headers
}

/** undefined if its form or its size is not plain. */
function bodyLength(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['content-length'] ?? '0'
  if (!/^[0-9]{1,6}$/.test(text)) return undefined
  const length = Number(text)
  return length > BODY_BYTES_MAX ? undefined : length
}
