// The content of a simulated disk, an ordered set of bytes. A scan costs no more than the rows that it reads, and an
// edit after it copies a small part of the rows.

import type { Pair, ScanRange } from '../../../src/storage/engine.ts'
import { keyString } from '../../../src/storage/keys.ts'
import { countWhile } from '../../workload/sorted.ts'

/** A pair to be stored under its name, or the name of one to be deleted. */
export type RowEdit = readonly [name: string, pair: Pair | undefined]

/** Rows of a block, at most. A block that is full is cut in two. */
const BLOCK_ROWS_MAX = 384

/** Sorted rows, in blocks: an edit that follows a scan copies one block and the list of blocks. */
class SortedRows {
  #blocks: RowEdit[][]
  /** Blocks that no scan reads. */
  readonly #own = new Set<RowEdit[]>()
  /** Whether a scan reads the list of blocks too. */
  #isShared = false

  constructor(blocks: RowEdit[][]) {
    this.#blocks = blocks
  }

  static from(rows: readonly RowEdit[]): SortedRows {
    const blocks: RowEdit[][] = []
    for (let at = 0; at < rows.length; at += BLOCK_ROWS_MAX / 2)
      blocks.push(rows.slice(at, at + BLOCK_ROWS_MAX / 2))
    return new SortedRows(blocks)
  }

  /** The blocks as they are now, which do not change any more. */
  share(): readonly (readonly RowEdit[])[] {
    this.#isShared = true
    this.#own.clear()
    return this.#blocks
  }

  copy(): SortedRows {
    const copy = new SortedRows(this.#blocks)
    copy.#isShared = true
    this.share()
    return copy
  }

  /** `isNamed`: there is a row of this name. */
  edit(edit: RowEdit, isNamed: boolean): void {
    const [name, pair] = edit
    const number = Math.min(blockOf(this.#blocks, name), this.#blocks.length - 1)
    const block = this.#ownBlock(number)
    const at = firstAtLeast(block, name)
    if (pair === undefined) block.splice(at, 1)
    else if (isNamed) block[at] = edit
    else block.splice(at, 0, edit)
    if (block.length === 0) this.#replace(number, [])
    else if (block.length > BLOCK_ROWS_MAX) {
      const halves = [block.slice(0, block.length / 2), block.slice(block.length / 2)]
      this.#replace(number, halves)
      for (const half of halves) this.#own.add(half)
    }
  }

  #ownBlock(number: number): RowEdit[] {
    const block = this.#blocks[number]
    if (block !== undefined && this.#own.has(block)) return block
    const own = block?.slice() ?? []
    this.#own.add(own)
    this.#replace(Math.max(0, number), [own])
    return own
  }

  #replace(number: number, by: readonly RowEdit[][]): void {
    if (this.#isShared) this.#blocks = this.#blocks.slice()
    this.#isShared = false
    const [before] = this.#blocks.splice(number, 1, ...by)
    if (before !== undefined && !by.includes(before)) this.#own.delete(before)
  }
}

export class MemoryRows {
  readonly #pairs: Map<string, Pair>
  /** undefined: not sorted yet. */
  #sorted: SortedRows | undefined

  constructor(pairs: Map<string, Pair> = new Map(), sorted?: SortedRows) {
    this.#pairs = pairs
    this.#sorted = sorted
  }

  get count(): number {
    return this.#pairs.size
  }

  copy(): MemoryRows {
    return new MemoryRows(new Map(this.#pairs), this.#sort().copy())
  }

  edit(edits: readonly RowEdit[]): void {
    for (const edit of edits) {
      const [name, pair] = edit
      const isNamed = this.#pairs.has(name)
      if (pair === undefined) this.#pairs.delete(name)
      else this.#pairs.set(name, pair)
      if (isNamed || pair !== undefined) this.#sorted?.edit(edit, isNamed)
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#pairs.get(keyString(key))?.[1]
  }

  /** The rows of this instant. */
  scan({ gte, lt, reverse }: ScanRange): MemoryScan {
    return new MemoryScan(this.#sort().share(), keyString(gte), keyString(lt), reverse)
  }

  /** Damage: flips one bit of one value; false when there is no value. `pick` and `where` may be any numbers. */
  flip(pick: number, where: number): boolean {
    const names = [...this.#pairs.keys()]
    const name = names[pick % names.length]
    const pair = name === undefined ? undefined : this.#pairs.get(name)
    if (name === undefined || pair === undefined || pair[1].length === 0) return false
    const value = Uint8Array.from(pair[1])
    const at = where % (value.length * 8)
    value[at >> 3] = (value[at >> 3] ?? 0) ^ (1 << (at & 7))
    this.edit([[name, [pair[0], value]]])
    return true
  }

  #sort(): SortedRows {
    this.#sorted ??= SortedRows.from([...this.#pairs].sort(([a], [b]) => (a < b ? -1 : 1)))
    return this.#sorted
  }
}

/** A place between two rows. */
interface Place {
  block: number
  row: number
}

/** A position in sorted rows, between two ends. */
class MemoryScan {
  readonly #blocks: readonly (readonly RowEdit[])[]
  #from: Place
  #to: Place
  readonly #isReverse: boolean

  constructor(blocks: readonly (readonly RowEdit[])[], gte: string, lt: string, isReverse: boolean) {
    this.#blocks = blocks
    this.#from = placeOf(blocks, gte)
    this.#to = later(this.#from, placeOf(blocks, lt))
    this.#isReverse = isReverse
  }

  next(pairsMax: number): Pair[] {
    const page: Pair[] = []
    while (page.length < pairsMax && isBefore(this.#from, this.#to)) {
      const pair = (this.#isReverse ? this.#last() : this.#first())[1]
      if (pair !== undefined) page.push(pair)
    }
    return page
  }

  #first(): RowEdit {
    const { block, row } = this.#from
    const rows = this.#blocks[block] ?? []
    this.#from = row + 1 < rows.length ? { block, row: row + 1 } : { block: block + 1, row: 0 }
    return rows[row] as RowEdit
  }

  #last(): RowEdit {
    const { block, row } = this.#to
    const before = row > 0 ? { block, row } : { block: block - 1, row: this.#blocks[block - 1]?.length ?? 0 }
    this.#to = { block: before.block, row: before.row - 1 }
    return this.#blocks[before.block]?.[before.row - 1] as RowEdit
  }

  /** In falling order, the rows before `key` are next. */
  seek(key: Uint8Array): void {
    const place = placeOf(this.#blocks, keyString(key))
    if (this.#isReverse) this.#to = later(this.#from, place)
    else this.#from = isBefore(place, this.#to) ? place : this.#to
  }
}

const isBefore = (a: Place, b: Place): boolean => a.block < b.block || (a.block === b.block && a.row < b.row)
const later = (a: Place, b: Place): Place => (isBefore(a, b) ? b : a)

/** The block in which a row of this name would be; as many as there are: behind all. */
const blockOf = (blocks: readonly (readonly RowEdit[])[], name: string): number =>
  countWhile(blocks, (block) => (block.at(-1)?.[0] ?? '') < name)

/** Before the first row that is not less. */
function placeOf(blocks: readonly (readonly RowEdit[])[], name: string): Place {
  const block = blockOf(blocks, name)
  return { block, row: firstAtLeast(blocks[block] ?? [], name) }
}

const firstAtLeast = (sorted: readonly RowEdit[], name: string): number =>
  countWhile(sorted, ([other]) => other < name)
