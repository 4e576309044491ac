// A store for one process, over HTTP, as short as it can be and correct; and the mistakes that a test can choose.

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'

export interface Row {
  readonly value: string
  readonly create_revision: number
  readonly mod_revision: number
  readonly version: number
}

export interface Answer {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body: string
}

export interface Asked {
  readonly method: string
  readonly key: string | undefined
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

interface AskedTxn {
  readonly compare: readonly { readonly key: string; readonly to: number }[]
  readonly success: readonly AskedOperation[]
  readonly failure?: readonly AskedOperation[]
}

type AskedOperation =
  | { readonly get: { readonly key: string } }
  | { readonly put: { readonly key: string; readonly value: string } }

/** The answer instead of the correct one; undefined: the correct one. */
export type Bug = (asked: Asked, right: Answer, store: ScriptedStore) => Answer | undefined

export class ScriptedStore {
  revision = 1
  readonly rows = new Map<string, Row>()
  readonly #tokens = new Map<string, Answer>()
  readonly server: Server

  constructor(bug: Bug = () => undefined) {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
        const key = !pathname.startsWith('/v1/kv/')
          ? undefined
          : decodeURIComponent(pathname.slice('/v1/kv/'.length))
        const body = Buffer.concat(chunks).toString()
        const asked = {
          method: request.method ?? '',
          key,
          query: searchParams,
          headers: request.headers,
          body,
        }
        const right = this.#answer(asked)
        const { status, headers = {}, body: told } = bug(asked, right, this) ?? right
        response.writeHead(status, headers).end(told)
      })
    })
  }

  #answer(asked: Asked): Answer {
    if (asked.method === 'GET')
      return asked.key === undefined ? this.#list(asked) : this.#get(asked.key, asked.query)
    const token = asked.headers['idempotency-key']
    const known = token === undefined ? undefined : this.#tokens.get(String(token))
    if (known !== undefined)
      return {
        ...known,
        headers: { ...known.headers, 'Idempotency-Replayed': 'true' },
        body: asked.method === 'POST' ? withoutReads(known.body) : known.body,
      }
    const answer = asked.method === 'POST' ? this.txn(JSON.parse(asked.body)) : this.#change(asked)
    if (token !== undefined) this.#tokens.set(String(token), answer)
    return answer
  }

  #change({ method, key = '', headers, body }: Asked): Answer {
    const row = this.rows.get(key)
    const match = headers['if-match']
    const fails =
      (match !== undefined && match !== `"${row?.mod_revision}"`) ||
      (headers['if-none-match'] !== undefined && row !== undefined)
    const told = { 'Kv-Revision': String(this.revision) }
    if (fails) {
      const current = row === undefined ? null : { ...row, key, value: undefined }
      return { status: 412, headers: told, body: JSON.stringify({ code: 'precondition_failed', current }) }
    }
    if (method === 'DELETE') {
      const deleted = this.rows.delete(key) ? 1 : 0
      this.revision += deleted
      return { status: 200, body: JSON.stringify({ deleted, revision: this.revision }) }
    }
    this.revision += 1
    const changed = this.#put(key, body)
    return { status: 200, body: JSON.stringify({ revision: this.revision, ...changed }) }
  }

  txn({ compare, success, failure }: AskedTxn): Answer {
    const succeeded = compare.every(({ key, to }) => (this.rows.get(key)?.mod_revision ?? 0) === to)
    const operations = (succeeded ? success : failure) ?? []
    if (operations.some((one) => 'put' in one)) this.revision += 1
    const results = operations.map((one) => {
      if ('put' in one) return { put: this.#put(one.put.key, one.put.value) }
      const { key } = one.get
      const row = this.rows.get(key)
      return { get: { kvs: row === undefined ? [] : [{ key, ...row }], more: false, count: row ? 1 : 0 } }
    })
    const headers = { 'Kv-Revision': String(this.revision) }
    return { status: 200, headers, body: JSON.stringify({ succeeded, revision: this.revision, results }) }
  }

  /** At the present revision. */
  #put(key: string, value: string): Omit<Row, 'value'> {
    const row = this.rows.get(key)
    const meta = {
      ...{ create_revision: row?.create_revision ?? this.revision, mod_revision: this.revision },
      version: (row?.version ?? 0) + 1,
    }
    this.rows.set(key, { value, ...meta })
    return meta
  }

  #fresh(query: URLSearchParams): Record<string, string> {
    const served = query.get('consistency') ?? 'linearizable'
    const staleness = served === 'stale' ? { 'Kv-Staleness-Ms': '0' } : {}
    return { 'Kv-Revision': String(this.revision), 'Kv-Consistency': served, ...staleness }
  }

  #get(key: string, query: URLSearchParams): Answer {
    const headers = this.#fresh(query)
    const row = this.rows.get(key)
    if (row === undefined) return { status: 404, headers, body: JSON.stringify({ code: 'not_found' }) }
    return { status: 200, headers: { ...headers, ETag: `"${row.mod_revision}"` }, body: row.value }
  }

  #list({ query, headers }: Asked): Answer {
    const text = (name: string): string | undefined => query.get(name) ?? undefined
    const [prefix = '', start = '', end, after] = [text('prefix'), text('start'), text('end'), text('after')]
    const falls = query.get('order') === 'desc'
    const whole = [...this.rows]
      .filter(([key]) => key.startsWith(prefix) && key >= start && (end === undefined || key < end))
      .sort(([a], [b]) => (a < b === falls ? 1 : -1))
    const behind = whole.filter(([key]) => after === undefined || (falls ? key < after : key > after))
    const records = behind
      .slice(0, Number(query.get('limit') ?? 1_000))
      .map(([key, { value, ...meta }]) => ({ key, ...(query.has('keys_only') ? {} : { value }), ...meta }))
    const { revision } = this
    const told = this.#fresh(query)
    if (headers.accept === 'application/x-ndjson') {
      const lines = [...records, { end: true, count: records.length, revision }]
      return { status: 200, headers: told, body: lines.map((line) => `${JSON.stringify(line)}\n`).join('') }
    }
    const kvs = query.has('count_only') ? [] : records
    const more = !query.has('count_only') && behind.length > records.length
    const next = more ? { next: records.at(-1)?.key } : {}
    const count = query.has('count') || query.has('count_only') ? { count: whole.length } : {}
    return { status: 200, headers: told, body: JSON.stringify({ kvs, more, ...next, ...count, revision }) }
  }
}

/** The answer to a repeat of a transaction. */
function withoutReads(body: string): string {
  const answer = JSON.parse(body)
  const results = answer.results.map((one: object) => ('get' in one ? { get: { omitted: true } } : one))
  return JSON.stringify({ ...answer, results })
}
