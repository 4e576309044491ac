// The decoded rows of events, for watchers that read history. Watchers that reconnect together after a node has
// stopped read the same rows. So the last few rows are kept, with their records and messages.

import { decodeEvents, eventsKey, firstOfEvents, type KvState, MissingRowError } from '../../../kv/index.ts'
import { keyAfter, type Revision } from '../../../operations/forms/index.ts'
import type { Storage } from '../../../storage/types.ts'
import { eventsByRevision, type GetRow, type RevisionEvents } from './events.ts'

/** Limit on kept rows. */
const ROWS_MAX = 32
/** Rows with more events than this are large: only one of them is kept, without its records. Most rows have 16. */
const ROW_EVENTS_MAX = 1024
/** Bytes of the rows of versions that were read for such a row. */
const ROW_BYTES_MAX = 256 * 1024

export interface HistoryRow {
  readonly first: Revision
  readonly last: Revision
  readonly revisions: readonly RevisionEvents[]
  /** Whether it was the newest row when it was read, and may have become longer since. */
  readonly mayGrow: boolean
}

export class HistoryRows {
  readonly #storage: Pick<Storage, 'scan'>
  readonly #get: GetRow
  /** The kept rows by their first revisions, least recently used first. */
  readonly #kept = new Map<Revision, HistoryRow>()
  /** The first revision of the kept large row. */
  #large: Revision | undefined

  constructor(storage: Pick<Storage, 'scan'>, get: GetRow) {
    this.#storage = storage
    this.#get = get
  }

  get size(): number {
    return this.#kept.size
  }

  clear(): void {
    this.#kept.clear()
    this.#large = undefined
  }

  /** The row that begins with this revision, if there is one. */
  at(first: Revision, { history, revision }: KvState): HistoryRow | undefined {
    const kept = this.#kept.get(first)
    if (kept !== undefined && (!kept.mayGrow || kept.last === revision)) {
      this.#kept.delete(first)
      this.#kept.set(first, kept)
      return kept
    }
    const row = this.#get(eventsKey(first))
    if (row === undefined) return undefined
    const { last, events } = decodeEvents(first, row)
    const isLarge = events.length > ROW_EVENTS_MAX
    let bytes = 0
    const get: GetRow = (rowKey) => {
      const version = this.#get(rowKey)
      bytes += version?.length ?? 0
      if (bytes > ROW_BYTES_MAX && !isLarge) this.#kept.delete(first)
      return version
    }
    const read = {
      first,
      last,
      revisions: eventsByRevision(events, get, !isLarge),
      mayGrow: first === history.newest,
    }
    if (isLarge) {
      if (this.#large !== undefined) this.#kept.delete(this.#large)
      this.#large = first
    }
    this.#keep(read)
    return read
  }

  /** The first revision of the row that has this one, if that is known without reading. */
  knownFirst(revision: Revision, { history }: KvState): Revision | undefined {
    if (revision >= history.newest && history.newest >= history.first) return history.newest
    for (const { first, last } of this.#kept.values()) if (first <= revision && revision <= last) return first
    return undefined
  }

  /**
   * Searches for the first revision of the row that has this one, which is in the history now. It may be compacted
   * before `done` is called.
   */
  findFirst(
    revision: Revision,
    { history }: KvState,
    done: (error: Error | undefined, first: Revision | undefined) => void,
  ): void {
    const scan = this.#storage.scan({
      gte: eventsKey(history.first),
      lt: keyAfter(eventsKey(revision)),
      reverse: true,
    })
    scan.next({ rowsMax: 1, bytesMax: 1 }, (error, [row]) => {
      if (error !== undefined) {
        scan.close()
        done(error, undefined)
        return
      }
      scan.finish((unread) => {
        const isLost = unread === undefined && row === undefined
        const lost = isLost ? new MissingRowError(`revision ${revision} has no row of events`) : undefined
        done(unread ?? lost, row && firstOfEvents(row.key))
      })
    })
  }

  #keep(row: HistoryRow): void {
    this.#kept.delete(row.first)
    this.#kept.set(row.first, row)
    if (this.#kept.size <= ROWS_MAX) return
    for (const [oldest] of this.#kept) {
      this.#kept.delete(oldest)
      return
    }
  }
}
