// A list, as a client of the simulator requests it, and as a node's HTTP interface assembles it: slices of one scan,
// each limited to a few rows or bytes. The sizes are drawn small, so that slices end at many different places, also
// between rows of very different sizes.

import type { KeyRow } from '../../../src/operations/forms/index.ts'
import type { RecordScanOptions, SlicedScan } from '../../../src/server/node/read/record-scan.ts'
import type { RecordedRange } from '../../workload/history.ts'
import { bytes } from '../oracle/model-row.ts'
import type { DerivedChoices } from '../schedule/derived-choices.ts'

export interface List {
  readonly op: RecordedRange
  /** Limits of one slice. */
  readonly rowsMax: number
  readonly bytesMax: number
}

/** The keys of the history begin here. Other keys are before. */
export const LISTED_FROM = 'k'

/**
 * The list that a number stands for; `keys`: how many keys there are. `bounded`: it does not begin before LISTED_FROM.
 */
export function drawList(choices: DerivedChoices, keys: number, bounded: boolean): List {
  const key = (): string => `k${choices.below(keys)}`
  const drawn = choices.pick<Partial<RecordedRange>>([
    { prefix: 'k' },
    { prefix: 'k' },
    { prefix: key() },
    {},
    { start: key() },
    { end: key() },
  ])
  const isOpen = drawn.prefix === undefined && drawn.start === undefined
  const bounds = bounded && isOpen ? { ...drawn, start: LISTED_FROM } : drawn
  return {
    rowsMax: choices.pick([512, 512, 1, 2, 3]),
    bytesMax: choices.pick([1 << 20, 1, 100, 150, 250, 400]),
    op: {
      f: 'range',
      ...bounds,
      ...(choices.below(2) === 1 && { order: 'desc' as const }),
      ...choices.pick<Partial<RecordedRange>>([
        {},
        {},
        {},
        { limit: 1 },
        { limit: 3 },
        { count: true },
        { countOnly: true },
        { keysOnly: true },
      ]),
    },
  }
}

export interface ListRows<T = KeyRow> {
  readonly rows: readonly T[]
  readonly more: boolean
}

/** The range of its rows, in the order asked for. */
export function scanOptions({ op }: List): RecordScanOptions {
  const from = bytes(op.start ?? op.prefix ?? '')
  const to = op.end ?? (op.prefix === undefined ? undefined : behind(op.prefix))
  return {
    start: from,
    end: to === undefined ? undefined : bytes(to),
    reverse: op.order === 'desc',
    revision: undefined,
  }
}

/** Reads all rows of the list, up to its limit. `done` is called once, or never if the process dies first. */
export function readList<T>(
  scan: SlicedScan<T>,
  { op, rowsMax, bytesMax }: List,
  done: (error: Error | undefined, listed: ListRows<T>) => void,
): void {
  const rows: T[] = []
  const limit = op.limit ?? Number.POSITIVE_INFINITY
  const slice = (): void => {
    scan.next({ rowsMax: Math.min(rowsMax, limit - rows.length), bytesMax }, (error, stored, more = true) => {
      if (error !== undefined) return done(error, { rows, more })
      rows.push(...stored)
      if (more && rows.length < limit) slice()
      else scan.finish((unread) => done(unread, { rows, more }))
    })
  }
  slice()
}

/** Keys of the simulator are plain ASCII of at most three letters. */
const behind = (prefix: string): string => `${prefix}~`
