// Storage against a simple model, through restarts and crashes: random runs must give the same answers.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ROW_HEAD_BYTES } from '../../src/kv/types.ts'
import { asIndex } from '../../src/raft/types.ts'
import { type RowScan, Scrub, type Storage } from '../../src/storage/index.ts'
import { expectEqual } from '../expect-equal.ts'
import { runs } from '../runs.ts'
import { metaOf } from './conformance.ts'
import { levelReplica, memoryDisk, openDisk } from './replicas.ts'
import {
  allRows,
  applied,
  applyRows,
  batch,
  changes,
  closed,
  entries,
  entry,
  finishedScan,
  frames,
  hardState,
  must,
  page,
  rowKey,
  scanOf,
  scrub,
  sinkFor,
  slice,
  store,
  stream,
  text,
  write,
} from './samples.ts'

/** A row: its value is padded to the size; undefined deletes the row. */
type Row = readonly [key: number, value: number | undefined, size: number]

/** A range, and the limits of its pages. */
interface View {
  readonly kind: 'view'
  readonly from: number
  readonly to: number
  readonly reverse: boolean
  readonly rowsMax: number
  readonly bytesMax: number
}

type Operation =
  | { readonly kind: 'append'; readonly count: number; readonly bump: boolean; readonly commit: number }
  | { readonly kind: 'replace'; readonly back: number; readonly count: number }
  | { readonly kind: 'apply'; readonly rows: readonly Row[] }
  | { readonly kind: 'flush'; readonly compactBack: number }
  | {
      readonly kind: 'snapshot'
      readonly ahead: number
      readonly rows: readonly Row[]
      readonly keep: boolean
    }
  | View
  /** One slice of a scrub, while rows are applied. */
  | { readonly kind: 'slice'; readonly rows: readonly Row[] }
  | { readonly kind: 'restart' }
  /** A crash during a write that may have reached the disk. */
  | { readonly kind: 'crash'; readonly kept: boolean; readonly count: number }

const KEYS = 15
/** The slices of a scrub that runs during the other steps. */
const SLICE = { rowsMax: 3, bytesMax: 80 }
const small = fc.nat({ max: 5 })
/** Most rows are small, some are as large as all byte limits together. */
const size = fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 60 }))
const row: fc.Arbitrary<Row> = fc.tuple(
  fc.nat({ max: KEYS - 1 }),
  fc.option(fc.nat({ max: 99 }), { nil: undefined, freq: 3 }),
  size,
)
const rows = fc.array(row, { maxLength: 6 })
const view: fc.Arbitrary<View> = fc.record({
  kind: fc.constant('view'),
  from: fc.nat({ max: KEYS }),
  to: fc.nat({ max: KEYS }),
  reverse: fc.boolean(),
  rowsMax: fc.integer({ min: 1, max: 8 }),
  bytesMax: fc.oneof(fc.nat({ max: 150 }), fc.constant(1e6)),
})
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('append'), count: small, bump: fc.boolean(), commit: small }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('replace'), back: small, count: small }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('apply'), rows }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('flush'), compactBack: small }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('snapshot'), ahead: small, rows, keep: fc.boolean() }),
  },
  { weight: 4, arbitrary: view },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('slice'), rows }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash'), kept: fc.boolean(), count: small }) },
)

/** The content of a replica in its simplest form. */
interface Model {
  readonly term: number
  readonly commit: number
  /** Terms of all entries that ever existed, by index. Those up to `start` may be compacted. */
  readonly terms: readonly number[]
  readonly start: number
  readonly applied: number
  readonly rows: ReadonlyMap<string, string>
}

/** Key names sort in the order of their numbers, and have different lengths. */
const nameOf = (key: number): string => `key ${10 + key}${'-'.repeat((key * 7) % 5)}`
const padded = (value: number, size: number): string => `${value}`.padEnd(size, '.')
const rowsText = (model: ReadonlyMap<string, string>): string[] =>
  [...model].map(([key, value]) => `${key}=${value}`).sort()

function changed(before: ReadonlyMap<string, string>, change: readonly Row[]): ReadonlyMap<string, string> {
  const after = new Map(before)
  for (const [key, value, size] of change) {
    if (value === undefined) after.delete(nameOf(key))
    else after.set(nameOf(key), padded(value, size))
  }
  return after
}

const asChanges = (list: readonly Row[]): ReturnType<typeof changes> =>
  list.flatMap(([key, value, size]) =>
    changes({ [nameOf(key)]: value === undefined ? undefined : padded(value, size) }),
  )

/** How many rows a page takes: as many as fit, at least the first. */
function fitting(
  rows: readonly string[],
  { rowsMax, bytesMax }: { readonly rowsMax: number; readonly bytesMax: number },
): number {
  let bytes = 0
  const tooMany = rows.findIndex((row, at) => {
    // A key has one byte more than its name, and the text of a row has one `=`.
    bytes += row.length
    return at > 0 && (at >= rowsMax || bytes > bytesMax)
  })
  return tooMany < 0 ? rows.length : tooMany
}

/** `rows`: all of them, in order. */
async function expectView(scan: RowScan, view: View, rows: readonly string[]): Promise<void> {
  let rest = rowsWithin(view, rows)
  for (;;) {
    const taken = fitting(rest, view)
    expectEqual(await page(scan, view), { rows: rest.slice(0, taken), more: taken < rest.length })
    if (taken === rest.length) break
    rest = rest.slice(taken)
  }
  await expectViewAgain(scan, view, rowsWithin(view, rows))
  await finishedScan(scan)
}

/** Starts a second scan at a row in the middle. */
async function expectViewAgain(scan: RowScan, view: View, rows: readonly string[]): Promise<void> {
  const rest = rows.slice(rows.length >> 1)
  const [row] = rest
  if (row === undefined) return
  const key = must(row.split('=')[0])
  // In falling order it continues before the key of no row.
  scan.seek(rowKey(view.reverse ? `${key}\0` : key))
  const taken = fitting(rest, view)
  expect(await page(scan, view)).toEqual({ rows: rest.slice(0, taken), more: taken < rest.length })
}

/** The rows of a range, in the order of the scan. */
function rowsWithin({ from, to, reverse }: View, rows: readonly string[]): readonly string[] {
  const within = rows.filter((text) => text >= nameOf(from) && text < nameOf(to))
  return reverse ? within.toReversed() : within
}

const scanFor = (storage: Storage, { from, to, reverse }: View): RowScan =>
  scanOf(storage, { gte: rowKey(nameOf(from)), lt: rowKey(nameOf(to)), reverse })

interface Disk {
  open(): Promise<Storage>
  /** undefined if a crash is not possible within the process. */
  readonly crash: ((inFlight: 'lost' | 'kept') => void) | undefined
}

class Run {
  readonly #disk: Disk
  #storage: Storage
  #model: Model = { term: 1, commit: 1, terms: [0, 1], start: 1, applied: 1, rows: new Map() }
  /** The model after the last batch that was reported done. */
  #durable = this.#model
  /** The rows by applied index, because a batch may not have room for all rows. */
  readonly #rowsAt = new Map([[1, this.#model.rows]])
  #pass: Scrub
  #scans: { readonly scan: RowScan; readonly rows: readonly string[] }[] = []

  constructor(disk: Disk, storage: Storage) {
    this.#disk = disk
    this.#storage = storage
    this.#pass = new Scrub(storage, SLICE)
  }

  async execute(operation: Operation): Promise<void> {
    const model = this.#model
    switch (operation.kind) {
      case 'append': {
        const term = model.term + (operation.bump ? 1 : 0)
        const last = model.terms.length - 1
        await this.#append(last + 1, operation.count, term, Math.min(last, model.commit + operation.commit))
        break
      }
      case 'replace': {
        const from = Math.max(model.commit + 1, model.terms.length - operation.back)
        await this.#append(from, operation.count, model.term + 1, model.commit)
        break
      }
      case 'apply':
        this.#apply(operation.rows)
        break
      case 'flush': {
        const to = Math.max(0, model.applied - operation.compactBack)
        await store(this.#storage, batch(hardState(model.term, model.commit), [], to))
        // The storage decides where records end.
        const start = this.#storage.log.firstIndex() - 1
        expect(start).toBeGreaterThanOrEqual(model.start)
        expect(start).toBeLessThanOrEqual(Math.max(model.start, to))
        this.#model = { ...model, start }
        this.#durable = this.#written(this.#model)
        break
      }
      case 'snapshot':
        await this.#install(operation.ahead, operation.rows, operation.keep)
        break
      case 'view':
        await this.#view(operation)
        break
      case 'slice':
        await this.#scrubOn(operation.rows)
        break
      case 'restart':
        this.#closeScans()
        await closed(this.#storage)
        await this.#reopen(this.#durable)
        break
      case 'crash':
        await this.#crash(operation.count, operation.kept ? 'kept' : 'lost')
        break
    }
    await this.#check()
  }

  async end(): Promise<void> {
    this.#closeScans()
    await closed(this.#storage)
  }

  /** The batch that appends `count` entries from index `from` on, over existing ones, and the model after it. */
  #appending(
    from: number,
    count: number,
    term: number,
    commit: number,
  ): { content: ReturnType<typeof batch>; after: Model } {
    const { terms } = this.#model
    const list = Array.from({ length: count }, (_, at) => entry(from + at, term))
    const change = from < terms.length ? { truncateFrom: from, entries: list } : { entries: list }
    const after = { ...this.#model, term, commit, terms: [...terms.slice(0, from), ...list.map(() => term)] }
    return { content: batch(hardState(term, commit), [write(change)]), after }
  }

  #apply(list: readonly Row[]): void {
    const { applied: before, commit, terms, rows } = this.#model
    const index = before + 1
    if (index > commit) return
    applyRows(this.#storage, asChanges(list), applied(index, must(terms[index])))
    this.#model = { ...this.#model, applied: index, rows: changed(rows, list) }
    this.#rowsAt.set(index, this.#model.rows)
  }

  async #scrubOn(list: readonly Row[]): Promise<void> {
    const reading = slice(this.#pass)
    this.#apply(list)
    if (!(await reading)) return
    this.#pass.close()
    this.#pass = new Scrub(this.#storage, SLICE)
  }

  async #append(from: number, count: number, term: number, commit: number): Promise<void> {
    const { content, after } = this.#appending(from, count, term, commit)
    await store(this.#storage, content)
    this.#model = after
    this.#durable = this.#written(after)
  }

  /** The part of the model that the newest batch makes durable. */
  #written(model: Model): Model {
    const { appliedSubmitted } = this.#storage
    return { ...model, applied: appliedSubmitted, rows: must(this.#rowsAt.get(appliedSubmitted)) }
  }

  async #crash(count: number, inFlight: 'lost' | 'kept'): Promise<void> {
    if (this.#disk.crash === undefined) return
    const { term, commit, terms } = this.#model
    const { content, after } = this.#appending(terms.length, count, term, commit)
    this.#storage.write(content, () => {
      throw new Error('called back after a crash')
    })
    const kept = this.#written(after)
    this.#disk.crash(inFlight)
    this.#scans = []
    await this.#reopen(inFlight === 'kept' ? kept : this.#durable)
  }

  async #reopen(model: Model): Promise<void> {
    this.#storage = await this.#disk.open()
    this.#pass = new Scrub(this.#storage, SLICE)
    this.#model = model
    this.#durable = model
    expect(this.#storage.hardState).toEqual(hardState(model.term, model.commit))
  }

  /**
   * A snapshot of a replica that is `ahead` of the commit index here and has these rows. The log is kept if that is
   * allowed.
   */
  async #install(ahead: number, list: readonly Row[], keep: boolean): Promise<void> {
    const { term, commit, terms, start } = this.#model
    const keepLog = keep && commit > this.#model.applied
    const index = keepLog ? commit : commit + 1 + ahead
    const at = keepLog ? must(terms[index]) : term
    const before = { hardState: hardState(at, index - 1), applied: applied(index - 1, at) }
    const sender = await openDisk(memoryDisk(before))
    applyRows(sender, asChanges(list), applied(index, at))
    const source = sender.snapshotSource()
    await stream(source, must(await sinkFor(this.#storage, source)))
    const snapshot = { meta: metaOf(source), snapshotId: source.id, keepLog }
    const next = hardState(term, Math.max(commit, index))
    await store(this.#storage, batch(next, [write({ snapshot })]))
    const kept = keepLog
      ? { terms, start }
      : {
          terms: [...terms.slice(0, index), ...Array(Math.max(0, index - terms.length)).fill(0), at],
          start: index,
        }
    this.#model = { term, commit: next.commit, ...kept, applied: index, rows: changed(new Map(), list) }
    this.#durable = this.#model
    this.#rowsAt.set(index, this.#model.rows)
  }

  async #view(view: View): Promise<void> {
    const expected = rowsText(this.#model.rows)
    this.#scans.push({ scan: scanOf(this.#storage), rows: expected })
    if (this.#scans.length > 3) this.#scans.shift()?.scan.close()
    await expectView(scanFor(this.#storage, view), view, expected)
  }

  /** Forward and backward, so that rows in memory come first and are then replaced by others. */
  #checkRowsBefore(): void {
    const rising = Array.from({ length: KEYS }, (_, key) => nameOf(key))
    for (const [names, headOnly] of [
      [rising, true],
      [rising.toReversed(), true],
      [rising, false],
    ] as const) {
      const head = headOnly ? ROW_HEAD_BYTES : Number.POSITIVE_INFINITY
      for (const name of names) {
        const row = this.#storage.rowBefore(rowKey(name), headOnly)
        const value = this.#model.rows.get(name)
        expectEqual([row?.length, text(row?.bytes)?.slice(0, head)], [value?.length, value?.slice(0, head)])
      }
    }
  }

  #closeScans(): void {
    this.#pass.close()
    for (const { scan } of this.#scans.splice(0)) scan.close()
  }

  async #check(): Promise<void> {
    const { terms, start, applied: index, rows: expected } = this.#model
    const { log } = this.#storage
    const last = terms.length - 1
    expectEqual([log.firstIndex(), log.lastIndex(), this.#storage.applied.index], [start + 1, last, index])
    const termsAt = [start, last, last + 1].map((at) => log.termAt(asIndex(at)))
    expectEqual(termsAt, [terms[start], terms[last], undefined])
    const list = terms.map((term, at) => entry(at, term)).slice(start + 1)
    if (list.length > 0)
      expectEqual(frames(log.entries(asIndex(start + 1), asIndex(last + 1), 1e6)), frames(list))
    expectEqual(await allRows(this.#storage), rowsText(expected))
    for (const [key, value] of expected) expectEqual(text(this.#storage.get(rowKey(key))), value)
    this.#checkRowsBefore()
    for (const { scan, rows: then } of this.#scans) {
      scan.seek(rowKey(''))
      expectEqual((await page(scan)).rows, then)
    }
    await scrub(this.#storage)
  }
}

test('the pages of a scan are the rows of its instant, in however many layers they are', async () => {
  const layers = fc.tuple(fc.array(row, { maxLength: 2 * KEYS }), rows, rows, rows, rows)
  await fc.assert(
    fc.asyncProperty(layers, fc.array(view, { minLength: 1, maxLength: 5 }), async (drawn, views) => {
      const storage = await openDisk(memoryDisk())
      const apply = (at: 0 | 1 | 2 | 3 | 4): void =>
        applyRows(storage, asChanges(drawn[at]), applied(at + 2, 1))
      const flushed = (): Promise<void> => store(storage, batch(hardState(1, 6)))
      await store(storage, batch(hardState(1, 6), [write({ entries: entries(2, 6, 1) })]))
      apply(0)
      await flushed()
      // Three layers over the engine: one that is being written, one that a scan has closed, one that grows.
      apply(1)
      const stored = flushed()
      apply(2)
      scanOf(storage).close()
      apply(3)
      const scans = views.map((each) => scanFor(storage, each))
      const expected = rowsText(drawn.slice(0, 4).reduce(changed, new Map<string, string>()))
      apply(4)
      for (const [at, each] of views.entries()) await expectView(must(scans[at]), each, expected)
      await stored
      await closed(storage)
    }),
    { numRuns: runs(500) },
  )
})

/** A batch has room for all rows, or for few. */
const limits = fc.option(
  fc.record({
    batchBytesMax: fc.integer({ min: 1, max: 1000 }),
    batchItemsMax: fc.integer({ min: 1, max: 10 }),
  }),
  { nil: {} },
)

test('in memory, with crashes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40 }), limits, async (operations, limits) => {
      const disk = memoryDisk()
      const later = (_what: string, complete: () => void): void => process.nextTick(complete)
      const open = (): Promise<Storage> => openDisk(disk, later, {}, limits)
      const run = new Run({ open, crash: (inFlight) => disk.crash(inFlight) }, await open())
      for (const each of operations) await run.execute(each)
      await run.end()
    }),
    { numRuns: runs(300) },
  )
})

test('on LevelDB', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
      const replica = await levelReplica()
      try {
        const run = new Run({ open: replica.open, crash: undefined }, await replica.open())
        for (const each of operations) await run.execute(each)
        await run.end()
      } finally {
        await replica.dispose()
      }
    }),
    { numRuns: runs(20) },
  )
})
