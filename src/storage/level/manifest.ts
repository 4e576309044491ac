// LevelDB's MANIFEST: a log file of edits. Together they name the live tables, the oldest live WAL and a sequence
// number (leveldb 1.20, db/version_edit.cc).

import { VarintReader } from './varint.ts'

const COMPARATOR = 'leveldb.BytewiseComparator'

const TAG_COMPARATOR = 1
const TAG_LOG_NUMBER = 2
const TAG_NEXT_FILE = 3
const TAG_LAST_SEQUENCE = 4
const TAG_COMPACT_POINTER = 5
const TAG_DELETED_FILE = 6
const TAG_NEW_FILE = 7
const TAG_PREV_LOG_NUMBER = 9

interface Table {
  readonly number: number
  readonly bytes: number
}

/** The result of the edits so far. */
export class Manifest {
  comparator: string | undefined
  logNumber: number | undefined
  prevLogNumber = 0
  nextFile: number | undefined
  lastSequence: number | undefined
  /** Tables by level and number: to move a table, an edit deletes it on one level and adds it on another. */
  readonly #tables = new Map<string, Table>()

  get tables(): Iterable<Table> {
    return this.#tables.values()
  }

  /** Adds one edit. Returns what is wrong with it; undefined when it is valid. */
  add(edit: Uint8Array): string | undefined {
    const reader = new VarintReader(edit)
    while (!reader.ended) {
      const fault = this.#addField(reader)
      if (fault !== undefined) return fault
    }
    return reader.overrun ? 'an edit is cut short' : undefined
  }

  #addField(reader: VarintReader): string | undefined {
    const tag = reader.varint()
    switch (tag) {
      case TAG_COMPARATOR:
        this.comparator = Buffer.from(reader.bytes()).toString('latin1')
        return this.comparator === COMPARATOR
          ? undefined
          : `it was written with another order of keys, ${this.comparator}`
      case TAG_LOG_NUMBER:
        this.logNumber = reader.varint()
        return undefined
      case TAG_PREV_LOG_NUMBER:
        this.prevLogNumber = reader.varint()
        return undefined
      case TAG_NEXT_FILE:
        this.nextFile = reader.varint()
        return undefined
      case TAG_LAST_SEQUENCE:
        this.lastSequence = reader.varint()
        return undefined
      case TAG_COMPACT_POINTER:
        reader.varint()
        reader.bytes()
        return undefined
      case TAG_DELETED_FILE:
        this.#tables.delete(`${reader.varint()}/${reader.varint()}`)
        return undefined
      case TAG_NEW_FILE: {
        const level = reader.varint()
        const table = { number: reader.varint(), bytes: reader.varint() }
        reader.bytes()
        reader.bytes()
        this.#tables.set(`${level}/${table.number}`, table)
        return undefined
      }
      default:
        return `an edit has the unknown tag ${tag}`
    }
  }
}
