// A request as nearly all are that change or read one key, read from its bytes. What the form below does not cover is
// not judged here: node:http reads it. So nothing may be accepted that node:http would refuse or read differently; a
// test compares the two.

import type { IncomingHttpHeaders } from 'node:http'

export interface PlainRequest {
  readonly method: string
  readonly url: string
  readonly httpVersion: string
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
  /** Of head and body together. */
  readonly bytes: number
}

export const HEAD_BYTES_MAX = 8 * 1024
export const BODY_BYTES_MAX = 64 * 1024

interface Fields {
  /** As they stand in the head. */
  readonly text: string
  readonly headers: IncomingHttpHeaders
  /** Of the body. */
  readonly length: number
}

/** Reads the requests of one connection. A client sends the same header fields all the time: they are read once. */
export class PlainRequests {
  readonly #headBytesMax: number
  #last: Fields = { text: '', headers: Object.freeze({}), length: 0 }

  /** What is longer than `headBytesMax` is for node:http to refuse. */
  constructor(headBytesMax: number) {
    this.#headBytesMax = Math.min(HEAD_BYTES_MAX, headBytesMax)
  }

  /** `incomplete`: plain as far as it goes, and not all there. */
  read(bytes: Buffer): PlainRequest | 'incomplete' | 'uncommon' {
    const headEnd = bytes.indexOf(EMPTY_LINE)
    if (headEnd > this.#headBytesMax || (headEnd < 0 && bytes.length > this.#headBytesMax)) return 'uncommon'
    if (headEnd < 0) return 'incomplete'
    const head = bytes.toString('latin1', 0, headEnd + LINE_END.length)
    const lineEnd = head.indexOf(LINE_END)
    const methodEnd = head.indexOf(' ')
    const method = head.slice(0, methodEnd)
    const url = head.slice(methodEnd + 1, lineEnd - VERSION.length)
    const isPlain = METHODS.has(method) && KEY_TARGET.test(url) && head.endsWith(VERSION, lineEnd)
    const fields = isPlain ? this.#fields(head.slice(lineEnd + LINE_END.length)) : undefined
    if (fields === undefined) return 'uncommon'
    const bodyAt = headEnd + EMPTY_LINE.length
    const end = bodyAt + fields.length
    if (bytes.length < end) return 'incomplete'
    const body = bytes.subarray(bodyAt, end)
    return { method, url, httpVersion: '1.1', headers: fields.headers, body, bytes: end }
  }

  #fields(text: string): Fields | undefined {
    if (text === this.#last.text) return this.#last
    const headers = readFields(text)
    const length = headers && bodyLength(headers)
    if (headers === undefined || length === undefined) return undefined
    this.#last = { text, headers: Object.freeze(headers), length }
    return this.#last
  }
}

const EMPTY_LINE = Buffer.from('\r\n\r\n')
const LINE_END = '\r\n'
const VERSION = ' HTTP/1.1'

const METHODS = new Set(['GET', 'HEAD', 'PUT', 'DELETE'])
/** Of one key, in the path or in the query, as the client writes those with empty segments; visible ASCII only. */
const KEY_TARGET = /^\/v1\/kv(?:\/|\?key=)[!-~]*$/
/** One space at most before the value, none behind it. */
const FIELD = /([A-Za-z0-9-]+): ?([!-~](?:[ -~]*[!-~])?)\r\n/y

/** Fields that change how the message or the connection is to be read. */
const FRAMING = new Set(['transfer-encoding', 'trailer', 'expect', 'upgrade', 'proxy-connection'])

/** By name in lower case; undefined unless all are plain and none comes twice. */
function readFields(text: string): IncomingHttpHeaders | undefined {
  const headers: Record<string, string> = {}
  for (let at = 0; at < text.length; at = FIELD.lastIndex) {
    FIELD.lastIndex = at
    const field = FIELD.exec(text)
    if (field === null) return undefined
    const [, mixedCase = '', value = ''] = field
    const name = mixedCase.toLowerCase()
    // Also true of what every object has, such as `constructor`: that is uncommon enough.
    if (name in headers || FRAMING.has(name)) return undefined
    if (name === 'connection' && value.toLowerCase() !== 'keep-alive') return undefined
    headers[name] = value
  }
  return headers
}

/** undefined: a form or a size that is not plain. */
function bodyLength(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['content-length'] ?? '0'
  if (!/^[0-9]{1,6}$/.test(text)) return undefined
  const length = Number(text)
  return length > BODY_BYTES_MAX ? undefined : length
}
