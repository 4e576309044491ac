// Reading many records: page by page, or one stream of one snapshot.

import { bytesOf, withQuery } from './address.ts'
import type { Answer } from './call.ts'
import {
  arrayIn,
  bytesFromJson,
  DisagreementError,
  incomplete,
  isObject,
  objectOf,
  parseObject,
  problemFrom,
  recordFromJson,
} from './decode.ts'
import { AbortedError, QuorateError } from './errors.ts'
import type { KvRecord, ListOptions } from './types.ts'

const PAGE_RECORDS = 1_000

export function rangePath(options: ListOptions): string {
  return withQuery('/v1/kv', {
    prefix: maybeBytes(options.prefix),
    start: maybeBytes(options.start),
    end: maybeBytes(options.end),
    order: options.order,
    keys_only: options.keysOnly === true ? true : undefined,
  })
}

const maybeBytes = (value: string | Uint8Array | undefined) =>
  value === undefined ? undefined : bytesOf(value)

/** `ask` reads one page, with its retries. */
export async function* pages(
  options: ListOptions,
  ask: (path: string) => Promise<Answer>,
): AsyncGenerator<KvRecord, void, undefined> {
  const path = rangePath(options)
  let left = options.limit ?? Number.POSITIVE_INFINITY
  let after: Uint8Array | undefined
  while (left > 0) {
    const answer = await ask(withQuery(path, { limit: Math.min(left, PAGE_RECORDS), after }))
    const page = parseObject(answer.kind === 'answered' ? answer.body : '')
    if (page === undefined) throw new DisagreementError('a page of records is not a JSON object')
    const records = arrayIn(page, 'kvs').map((record) => recordFromJson(objectOf(record, 'a record')))
    yield* records
    left -= records.length
    if (page.more !== true) return
    after = bytesFromJson(page.next)
  }
}

/** Lines of NDJSON up to the end line; without that the answer is incomplete, whatever has been read. */
export async function* streamed(
  answer: Answer,
  idleMs: number,
  { limit, signal }: ListOptions,
): AsyncGenerator<KvRecord, void, undefined> {
  const { endpoint } = answer
  if (answer.kind !== 'streaming') throw incomplete('the node does not stream', endpoint.url)
  const { stream } = answer
  stream.setTimeout(idleMs, () => stream.destroy(new Error(`nothing came for ${idleMs} ms`)))
  const onAbort = () => stream.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  let count = 0
  try {
    for await (const line of linesOf(stream)) {
      const json = parseObject(line)
      if (json === undefined) throw incomplete('a line of the stream is not a JSON object', endpoint.url)
      if (json.end === true) {
        if (json.count === count) return
        throw incomplete(`the stream has ${count} records, its end says ${json.count}`, endpoint.url)
      }
      if (isObject(json.error)) {
        const body = new TextEncoder().encode(JSON.stringify(json.error))
        const problem = problemFrom(Number(json.error.status ?? 500), answer.headers, body)
        throw new QuorateError(problem.detail, { code: problem.code, written: 'no', endpoint: endpoint.url })
      }
      yield recordFromJson(json)
      count += 1
      if (count === limit) return
    }
  } catch (error) {
    throwIfAborted(signal)
    if (error instanceof QuorateError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw incomplete(`the stream broke after ${count} records: ${reason}`, endpoint.url, error)
  } finally {
    signal?.removeEventListener('abort', onAbort)
    stream.destroy()
  }
  throwIfAborted(signal)
  throw incomplete(`the stream ended after ${count} records without its end line`, endpoint.url)
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw new AbortedError('the call was aborted', { code: 'aborted', written: 'no', cause: signal.reason })
}

async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer[] = []
  for await (const chunk of stream) {
    let from = 0
    for (;;) {
      const at = chunk.indexOf(0x0a, from)
      if (at < 0) break
      const piece = chunk.subarray(from, at)
      yield rest.length === 0 ? piece : Buffer.concat([...rest, piece])
      rest = []
      from = at + 1
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
  if (rest.length > 0) yield Buffer.concat(rest)
}
