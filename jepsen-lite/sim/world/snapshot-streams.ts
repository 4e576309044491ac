// Snapshots in flight. They are cut into smaller chunks than the store makes, so that even a small state takes several.
// Their connections break, and now and then a chunk lacks a row, as if its sender had left it out.

import { decodeChunk, encodeChunk } from '../../../src/storage/chunk.ts'
import type { SnapshotSource, StoredRow } from '../../../src/storage/index.ts'
import { RuleViolation } from '../oracle/violation.ts'
import type { Process } from './process.ts'
import type { SimConnection, WireEnd } from './wires.ts'
import type { SimWorld } from './world.ts'

/** The connections of a machine, of which those of snapshots can be broken. */
interface Connections {
  endsAt(place: number): readonly WireEnd[]
  reset(connection: SimConnection): void
}

export class SnapshotStreams {
  readonly #world: SimWorld
  readonly #connections: Connections
  /** Machines whose next chunk, sent or received, loses a row. */
  readonly #toDropRow = new Set<number>()
  /** Snapshots that have lost a row, by receiver. */
  readonly #rowDropped = new Set<string>()

  constructor(world: SimWorld, connections: Connections) {
    this.#world = world
    this.#connections = connections
  }

  /** Connections of snapshots break; false when there was none. */
  breakAll(place: number): boolean {
    let broke = false
    for (const { connection } of this.#connections.endsAt(place)) {
      if (connection.purpose !== 'snapshot') continue
      broke = true
      this.#connections.reset(connection)
    }
    return broke
  }

  /** The next chunk that this machine sends or receives lacks a row. The returned function cancels that. */
  dropRowNext(place: number): () => void {
    this.#toDropRow.add(place)
    return () => void this.#toDropRow.delete(place)
  }

  /** A chunk as it is sent. */
  made(from: Process, to: Process, id: string, number: number, chunk: Uint8Array): Uint8Array {
    const place = [from.place, to.place].find((one) => this.#toDropRow.has(one))
    if (place === undefined) return chunk
    const rows = decodeChunk(id, number, chunk)
    if (rows.length === 0) return chunk
    this.#toDropRow.delete(place)
    this.#rowDropped.add(`${to.id} ${id}`)
    this.#world.probeCoverage.fault('drop-row')
    return encodeChunk(id, number, rows.slice(1))
  }

  /** The receiver refuses a snapshot. It must have lost a row. */
  refused(to: Process, id: string, why: string): void {
    const { probeCoverage, invariants } = this.#world
    if (!/chunk \d+ of snapshot|arrived with other rows/.test(why)) return
    if (this.#rowDropped.has(`${to.id} ${id}`)) probeCoverage.hit('snapshot without a row refused')
    else invariants.violation ??= new RuleViolation('SNAP-4', `${to.name} refuses what it was sent: ${why}`)
  }
}

/** The rows of a snapshot in chunks of a few rows. */
export class SmallChunks implements SnapshotSource {
  readonly #source: SnapshotSource
  readonly #rowsMax: number
  #rows: StoredRow[] | undefined
  #closed = false

  constructor(source: SnapshotSource, rowsMax: number) {
    this.#source = source
    this.#rowsMax = rowsMax
  }

  get id(): string {
    return this.#source.id
  }
  get meta(): SnapshotSource['meta'] {
    return this.#source.meta
  }

  read(number: number, done: (error: Error | undefined, chunk: Uint8Array | undefined) => void): void {
    if (this.#rows === undefined) this.#gather([], 0, () => this.read(number, done), done)
    else {
      const rows = this.#rows.slice(number * this.#rowsMax, (number + 1) * this.#rowsMax)
      done(undefined, rows.length === 0 ? undefined : encodeChunk(this.id, number, rows))
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#source.close()
  }

  #gather(
    rows: StoredRow[],
    number: number,
    then: () => void,
    done: (error: Error | undefined, chunk: Uint8Array | undefined) => void,
  ): void {
    if (this.#closed) return
    this.#source.read(number, (error, chunk) => {
      if (error !== undefined) return done(error, undefined)
      if (chunk === undefined) {
        this.#rows = rows
        then()
        return
      }
      this.#gather([...rows, ...decodeChunk(this.id, number, chunk)], number + 1, then, done)
    })
  }
}
