// How far a migration has come: a key of the target. Each transaction of a migration moves it, from the value that it
// had. So no change is made twice, whatever answers are lost, and only one run of a migration makes changes.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, QuorateError, type TxnOperation } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'

/** Prefix of the positions of all migrations. Scans and watches leave these keys out. */
export const POSITIONS = 'quorate/migration/'

const POSITIONS_BYTES = Buffer.from(POSITIONS)
const HASH_CHARACTERS = 16
/** Tries of a transaction whose outcome stays unknown, and the pause before each. */
const TRIES_MAX = 20
const PAUSE_MS = 200

export const isPositionKey = (key: Uint8Array): boolean =>
  Buffer.compare(key.subarray(0, POSITIONS_BYTES.length), POSITIONS_BYTES) === 0

/** The key of the migration of this prefix. */
export const positionKey = (prefix: string): string =>
  POSITIONS + createHash('sha256').update(prefix).digest('hex').slice(0, HASH_CHARACTERS)

/**
 * `copy`: the keys are copied as they were at `revision`, with `copied` keys so far. `repair`: that revision is
 * compacted, and the differences to a newer one are copied. `follow`: the target is as the source was at `revision`.
 */
export type MigrationPhase = 'copy' | 'repair' | 'follow'

export interface MigrationPosition {
  /** Id of the cluster that is the source. */
  readonly source: string
  readonly prefix: string
  readonly phase: MigrationPhase
  /** A revision of the source. */
  readonly revision: number
  readonly copied: number
}

export class StoredPosition {
  readonly key: string
  readonly #target: Client
  readonly #writer: Client
  readonly #signal: AbortSignal
  /** Tells the values of this run from those of others. */
  readonly #run: string
  /** The value in the target; undefined: there is none. */
  #stored: string | undefined

  /** `writer`: for transactions of `target`. */
  constructor(target: Client, writer: Client, prefix: string, signal: AbortSignal) {
    this.key = positionKey(prefix)
    this.#target = target
    this.#writer = writer
    this.#signal = signal
    this.#run = globalThis.crypto.randomUUID()
  }

  async read(): Promise<MigrationPosition | undefined> {
    this.#stored = (await this.#target.get(this.key, { signal: this.#signal }))?.text()
    return this.#stored === undefined ? undefined : decodePosition(this.key, this.#stored)
  }

  /** Makes the changes and moves the position, both or neither. */
  async move(operations: readonly TxnOperation[], next: MigrationPosition): Promise<void> {
    const [key, signal, before] = [this.key, this.#signal, this.#stored]
    const value = JSON.stringify({ ...next, run: this.#run })
    const isBefore =
      before === undefined
        ? ({ key, target: 'version', op: '=', to: 0 } as const)
        : ({ key, target: 'value', op: '=', to: before } as const)
    const txn = { compare: [isBefore], success: [...operations, { put: { key, value } }] }
    for (let tries = 1; ; tries++) {
      try {
        const { succeeded } = await this.#writer.txn(txn, { signal })
        if (succeeded || (tries > 1 && (await this.#isMoved(value)))) break
        throw new Failure(EXIT.failed, TAKEN_OVER)
      } catch (error) {
        if (!(error instanceof QuorateError) || error.written !== 'unknown') throw error
        if (signal.aborted || tries === TRIES_MAX) throw error
        await sleep(PAUSE_MS)
        // Parts of a revision leave the position as it is. They are the same when they are made twice.
        if (value !== before && (await this.#isMoved(value))) break
      }
    }
    this.#stored = value
  }

  async #isMoved(value: string): Promise<boolean> {
    return (await this.#target.get(this.key, { signal: this.#signal }))?.text() === value
  }
}

const TAKEN_OVER = 'another run of this migration has begun, and continues it: this one has ended'

function decodePosition(key: string, text: string): MigrationPosition {
  try {
    const { source, prefix, phase, revision, copied } = JSON.parse(text)
    const isPosition =
      typeof source === 'string' &&
      typeof prefix === 'string' &&
      ['copy', 'repair', 'follow'].includes(phase) &&
      Number.isSafeInteger(revision) &&
      Number.isSafeInteger(copied)
    if (isPosition) return { source, prefix, phase, revision, copied }
  } catch {
    // It is refused below.
  }
  throw new Failure(EXIT.failed, `the key ${key} of the target is no position of a migration`)
}
