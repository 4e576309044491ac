// The user for whom the page makes requests, and what this user may read, as the node knows it. The pages begin there.

import { computed, signal } from '@preact/signals'
import type { SelfResult } from '../../../src/operations/documents/auth.ts'
import { compareKeys, type KeyRange } from '../../../src/operations/forms/places.ts'
import { showSelf } from '../../../src/operations/show-self.ts'
import { RefusedError, run } from './connection.ts'
import { userName, userToken } from './credentials.ts'

/** undefined: it is not known. */
export const self = signal<SelfResult | undefined>(undefined)

/** Rights may be changed at any time. */
const READ_MS = 30_000

/** Reads who the user is until the signal fires: now and then, and at once when a token comes or goes. */
export async function followSelf(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const token = userToken.peek()
    await readSelf(signal)
    if (token === userToken.peek()) await rest(signal)
  }
}

async function readSelf(signal: AbortSignal): Promise<void> {
  try {
    self.value = (await run(showSelf, { kind: 'show-self' }, { signal })).result
  } catch (error) {
    // Nobody is logged in, or an older node does not say it. What is known stays while the node does not answer, and
    // when a login has ended: its user sees what was there before.
    const isOver = error instanceof RefusedError && !error.problem.passing
    if (isOver && (self.peek()?.user === undefined || self.peek()?.user !== userName.peek()))
      self.value = undefined
  }
}

function rest(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const token = userToken.peek()
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      stop()
      resolve()
    }
    const timer = setTimeout(end, READ_MS)
    signal.addEventListener('abort', end)
    const stop = userToken.subscribe((next) => {
      if (next !== token) end()
    })
  })
}

/** Ranges that the user may read, in their order, with gaps between them; undefined: all keys, or it is not known. */
export const readable = computed<readonly KeyRange[] | undefined>(() => {
  const ranges = self.value?.permissions.flatMap(({ access, range }) =>
    range !== undefined && access !== 'write' ? [range] : [],
  )
  const joined = ranges && joinRanges(ranges)
  const [first] = joined ?? []
  return first?.start.length === 0 && first.end === undefined ? undefined : joined
})

/** Names what may be read. A page reads again when it changes. */
export const readableName = computed(() =>
  (readable.value ?? []).map(({ start, end }) => `${start.join()}-${end?.join()}`).join(';'),
)

function joinRanges(ranges: readonly KeyRange[]): readonly KeyRange[] {
  const joined: KeyRange[] = []
  for (const { start, end } of ranges.toSorted((a, b) => compareKeys(a.start, b.start))) {
    const last = joined.at(-1)
    if (last === undefined || (last.end !== undefined && compareKeys(last.end, start) < 0))
      joined.push({ start, end })
    else joined[joined.length - 1] = { start: last.start, end: laterEnd(last.end, end) }
  }
  return joined
}

type End = KeyRange['end']
const laterEnd = (a: End, b: End): End =>
  a === undefined || b === undefined ? undefined : compareKeys(a, b) < 0 ? b : a
const earlierEnd = (a: End, b: End): End =>
  a === undefined ? b : b === undefined || compareKeys(a, b) < 0 ? a : b

/** The parts of the range that the user may read. The range itself, if that is all of it, or if nothing is known. */
export function readableParts(range: KeyRange): readonly KeyRange[] {
  const { value } = readable
  if (value === undefined) return [range]
  return value.flatMap((part) => {
    const start = compareKeys(part.start, range.start) < 0 ? range.start : part.start
    const end = earlierEnd(part.end, range.end)
    if (end !== undefined && compareKeys(start, end) >= 0) return []
    return start === range.start && end === range.end ? [range] : [{ start, end }]
  })
}
