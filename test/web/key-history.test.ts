// The history of a key, which the store compacts while the page reads it.

import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { answer, problem, type SentRequest, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface ChangeHistory {
  readonly changes: readonly { readonly revision: number; readonly record?: { readonly value: Uint8Array } }[]
  readonly isCut: boolean
}
const node = stubPage()
let readHistory: (key: Uint8Array, signal: AbortSignal) => Promise<ChangeHistory>
/** The oldest revision that can be read before each request, and from the last one on. */
let compactions: readonly number[]
beforeAll(async () => {
  ;({ readHistory } = await load<{ readHistory: typeof readHistory }>('pages/keys/key-history.tsx'))
})
beforeEach(() => void vi.useFakeTimers())
afterEach(async () => {
  // Limits of requests have passed.
  await vi.advanceTimersByTimeAsync(60_000)
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

const LAST = 50
/** The key was written at each tenth revision. */
const record = (revision: number) => {
  const written = Math.floor(revision / 10) * 10
  const head = { version: written / 10, create_revision: 10, mod_revision: written }
  return { key: 'k', value: `of ${written}`, ...head }
}

function serve({ path }: SentRequest): Response {
  const oldest = compactions[0] ?? 1
  if (compactions.length > 1) compactions = compactions.slice(1)
  const { pathname, searchParams } = new URL(path, 'http://n1')
  const compacted = () => problem('compacted', 410, { compact_revision: oldest, resume_from: oldest + 1 })
  if (pathname !== '/v1/watch') {
    const revision = Number(searchParams.get('revision'))
    if (revision < oldest) return compacted()
    return revision < 10 ? problem('not_found', 404) : answer(record(revision))
  }
  const from = Number(searchParams.get('from'))
  if (from <= oldest && oldest > 1) return compacted()
  const events = Array.from({ length: LAST }, (_, at) => at + 1)
    .filter((revision) => revision >= from && revision % 10 === 0)
    .map((revision) => ({ type: 'put', kv: record(revision) }))
  const lines = [
    { type: 'created', revision: LAST },
    { type: 'events', revision: LAST, events },
  ]
  return new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

const read = async () => {
  node.requests.length = 0
  node.serve = serve
  const { changes, isCut } = await readHistory(encodeUtf8('k'), new AbortController().signal)
  return { revisions: changes.map(({ revision }) => revision), isCut }
}

test('all that the store has is shown, each version once', async () => {
  compactions = [1]
  expect(await read()).toEqual({ revisions: [50, 40, 30, 20, 10], isCut: false })
})

test.each([
  ['between two versions', 25, [50, 40, 30, 20]],
  ['at a version', 30, [50, 40, 30]],
  ['just before one', 29, [50, 40, 30, 20]],
  ['before the first one', 5, [50, 40, 30, 20, 10]],
  ['up to the last revision', 50, [50]],
])('a compaction %s leaves the version of that time, once', async (_, oldest, revisions) => {
  compactions = [oldest]
  expect(await read()).toEqual({ revisions, isCut: true })
})

test('compactions between the requests of one reading: it begins again', async () => {
  compactions = [15, 25, 25, 35]
  expect(await read()).toEqual({ revisions: [50, 40, 30], isCut: true })
  compactions = [15, 15, 25]
  expect(await read()).toEqual({ revisions: [50, 40, 30, 20], isCut: true })
})

test('a store that is compacted all the time ends it, and not the page', async () => {
  compactions = Array.from({ length: 100 }, (_, at) => at + 2)
  await expect(read()).rejects.toThrow('is compacted')
  expect(node.requests.length).toBeLessThan(20)
})

test('a history that breaks off is no history', async () => {
  node.serve = () => new Response(`${JSON.stringify({ type: 'created', revision: LAST })}\n`)
  await expect(readHistory(encodeUtf8('k'), new AbortController().signal)).rejects.toThrow('broke off')
})
