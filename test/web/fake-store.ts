// A store with one key, as a node serves it over HTTP: reads, changes with their conditions and tokens, and a watch.

import { answer, problem, type SentRequest } from './fake-node.ts'

export const KEY = 'k'

/** The user who makes each change, and the time. */
const ORIGIN = { by: 'ann', time_ms: Date.parse('2026-11-29T10:00:00.000Z') }

interface Version {
  readonly revision: number
  /** undefined: it was deleted. */
  readonly record: object | undefined
}

export class FakeStore {
  /** The revision of the store. */
  revision = 1
  readonly versions: Version[] = []
  readonly #tokens = new Map<string, object>()
  #created = 0
  #version = 0

  get value(): string | undefined {
    return (this.versions.at(-1)?.record as { value?: string } | undefined)?.value
  }

  /** That of the key now. */
  get lease(): string | undefined {
    return (this.versions.at(-1)?.record as { lease?: string } | undefined)?.lease
  }

  put(value: string, lease?: string): object {
    this.revision++
    const isNew = this.value === undefined
    this.#created = isNew ? this.revision : this.#created
    this.#version = isNew ? 1 : this.#version + 1
    const head = { version: this.#version, create_revision: this.#created, mod_revision: this.revision }
    const record = { key: KEY, value, ...head, ...(lease !== undefined && { lease }), ...ORIGIN }
    this.versions.push({ revision: this.revision, record })
    return { revision: this.revision, ...head }
  }

  delete(): object {
    if (this.value === undefined) return { deleted: 0, revision: this.revision }
    this.revision++
    this.versions.push({ revision: this.revision, record: undefined })
    return { deleted: 1, revision: this.revision }
  }

  serve({ method, path, headers, body }: SentRequest): Response {
    const { pathname, searchParams } = new URL(path, 'http://n1')
    if (pathname === '/v1/watch') return this.#watch()
    if (pathname !== `/v1/kv/${KEY}`) return problem('route_not_found', 404)
    const record = this.versions.findLast(
      ({ revision }) => revision <= Number(searchParams.get('revision') ?? Infinity),
    )?.record as { readonly mod_revision: number } | undefined
    if (method === 'GET') return record === undefined ? problem('not_found', 404) : answer(record)
    const token = headers['Idempotency-Key'] ?? ''
    const known = this.#tokens.get(token)
    if (known !== undefined) return answer(known, { 'idempotency-replayed': 'true' })
    const tag = record === undefined ? undefined : `"${record.mod_revision}"`
    const isMet =
      (headers['If-Match'] === undefined || headers['If-Match'] === tag) &&
      (headers['If-None-Match'] === undefined || tag === undefined)
    if (!isMet) return problem('precondition_failed', 412, { current: null })
    const lease = searchParams.get('lease') ?? undefined
    const result = method === 'PUT' ? this.put(body, lease) : this.delete()
    if (token !== '') this.#tokens.set(token, result)
    return answer(result)
  }

  /** All changes that the store has, and the revision up to which these are all. */
  #watch(): Response {
    const events = this.versions.map(({ revision, record }) =>
      record === undefined
        ? { type: 'delete', key: KEY, mod_revision: revision, ...ORIGIN }
        : { type: 'put', kv: record },
    )
    const lines = [
      { type: 'created', revision: this.revision },
      { type: 'events', revision: this.revision, events },
    ]
    return new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  }
}
