// How far a migration has come: a key of the target. Each transaction of a migration moves it, from the value that it
// had, and names what the target has of the keys that it changes. So no change is made twice, whatever answers are lost
// or late, only one run of a migration makes changes, and none replaces what somebody else has written.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, type GetOptions, QuorateError, type TxnOperation } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'

/** Prefix of the positions of all migrations. Scans and watches leave these keys out. */
export const POSITIONS = 'quorate/migration/'

const POSITIONS_BYTES = Buffer.from(POSITIONS)
const HASH_CHARACTERS = 16
/** Pause before a transaction is made again whose outcome is unknown. */
const PAUSE_MS = 200

export const isPositionKey = (key: Uint8Array): boolean =>
  Buffer.compare(key.subarray(0, POSITIONS_BYTES.length), POSITIONS_BYTES) === 0

/** The key of the migration of this prefix. */
export const positionKey = (prefix: string): string =>
  POSITIONS + createHash('sha256').update(prefix).digest('hex').slice(0, HASH_CHARACTERS)

/**
 * `copy`: the keys are copied as they were at `revision`, with `copied` keys so far. `repair`: a revision that was
 * needed is compacted, and the differences to a newer one are copied; the target has had all changes up to `revision`,
 * 0 if a copy was not complete. `follow`: the target is as the source was at `revision`. `finished`: the same, and
 * no run changes the target any more.
 */
export type MigrationPhase = 'copy' | 'repair' | 'follow' | 'finished'

const PHASES: readonly MigrationPhase[] = ['copy', 'repair', 'follow', 'finished']

export interface MigrationPosition {
  /** Id of the cluster that is the source. */
  readonly source: string
  readonly prefix: string
  readonly phase: MigrationPhase
  /** A revision of the source. */
  readonly revision: number
  readonly copied: number
  /** Revisions of the target are not above those of the source. */
  readonly isBelow?: true | undefined
  /** A part of the changes of a later revision is made: they did not fit into one transaction. */
  readonly isPartial?: true | undefined
  /** A run has taken over, and has not compared yet what was changed after this revision of the target. */
  readonly uncheckedSince?: number | undefined
  /** When it was finished, in ISO 8601. */
  readonly finishedAt?: string | undefined
}

export async function readPosition(
  target: Client,
  prefix: string,
  options: Pick<GetOptions, 'signal' | 'onAnswer'>,
): Promise<MigrationPosition | undefined> {
  const key = positionKey(prefix)
  const record = await target.get(key, options)
  return record && decodePosition(key, record.text())
}

/** State of a key of the target before a transaction: the revision of its last change; 0: there is no such key. */
export interface ExpectedKey {
  readonly key: Uint8Array
  readonly modRevision: number
}

export type Move =
  /** `revision`: of the target, with the changes. */
  | { readonly kind: 'moved'; readonly revision: number }
  /** Nothing was changed: a key was not as expected. */
  | { readonly kind: 'unexpected' }

export class StoredPosition {
  readonly key: string
  /** The revision of the target with the newest move; 0: none. */
  modRevision = 0
  readonly #target: Client
  readonly #writer: Client
  readonly #signal: AbortSignal
  readonly #timeoutMs: number
  /** Tells the values of this run from those of others. */
  readonly #run: string
  /** Tells the values of this run from each other, also where the position stays. */
  #step = 0
  /** The value in the target; undefined: there is none. */
  #stored: string | undefined

  /** `writer`: for transactions of `target`. */
  constructor(target: Client, writer: Client, prefix: string, signal: AbortSignal, timeoutMs: number) {
    this.key = positionKey(prefix)
    this.#target = target
    this.#writer = writer
    this.#signal = signal
    this.#timeoutMs = timeoutMs
    this.#run = globalThis.crypto.randomUUID()
  }

  async read(): Promise<MigrationPosition | undefined> {
    const record = await this.#target.get(this.key, { signal: this.#signal })
    this.#stored = record?.text()
    this.modRevision = record?.modRevision ?? 0
    return this.#stored === undefined ? undefined : decodePosition(this.key, this.#stored)
  }

  /** Makes the changes and moves the position, both or neither. An unknown outcome is resolved, until the timeout. */
  async move(
    operations: readonly TxnOperation[],
    next: MigrationPosition,
    expected: readonly ExpectedKey[] = [],
  ): Promise<Move> {
    const [key, signal, before] = [this.key, this.#signal, this.#stored]
    this.#step += 1
    const value = JSON.stringify({ ...next, run: this.#run, step: this.#step })
    const isBefore =
      before === undefined
        ? ({ key, target: 'version', op: '=', to: 0 } as const)
        : ({ key, target: 'value', op: '=', to: before } as const)
    const areExpected = expected.map(
      ({ key, modRevision }) => ({ key, target: 'modRevision', op: '=', to: modRevision }) as const,
    )
    const txn = { compare: [isBefore, ...areExpected], success: [...operations, { put: { key, value } }] }
    const deadlineMs = performance.now() + this.#timeoutMs
    for (;;) {
      try {
        const { succeeded, revision } = await this.#writer.txn(txn, { signal })
        if (succeeded) return this.#moved(value, revision)
        // An earlier try may have been made since its outcome was read.
        return await this.#resolve(value, before)
      } catch (error) {
        if (!(error instanceof QuorateError) || error.written !== 'unknown') throw error
        if (signal.aborted || performance.now() >= deadlineMs) throw error
        await sleep(PAUSE_MS, undefined, { signal })
      }
      const record = await this.#target.get(key, { signal })
      if (record?.text() === value) return this.#moved(value, record.modRevision)
    }
  }

  #moved(value: string, revision: number): Move {
    this.#stored = value
    this.modRevision = revision
    return { kind: 'moved', revision }
  }

  /** The meaning of a transaction that did nothing. */
  async #resolve(value: string, before: string | undefined): Promise<Move> {
    const record = await this.#target.get(this.key, { signal: this.#signal })
    const found = record?.text()
    if (record !== undefined && found === value) return this.#moved(value, record.modRevision)
    if (found === before) return { kind: 'unexpected' }
    const isFinished = found !== undefined && decodePosition(this.key, found).phase === 'finished'
    if (isFinished) throw new Failure(EXIT.failed, FINISHED)
    throw found === undefined ? new Failure(EXIT.failed, DELETED) : new TakenOverFailure()
  }
}

/** Another run has moved the position. */
export class TakenOverFailure extends Failure {
  constructor() {
    super(EXIT.failed, 'another run of this migration has begun, and continues it: this one has ended')
  }
}

const FINISHED = 'another run has finished this migration: this one has ended'
export const DELETED = 'somebody has deleted the position of this migration: this run has ended'

function decodePosition(key: string, text: string): MigrationPosition {
  try {
    const { source, prefix, phase, revision, copied, isBelow, isPartial, uncheckedSince, finishedAt } =
      JSON.parse(text)
    const isPosition =
      typeof source === 'string' &&
      typeof prefix === 'string' &&
      PHASES.includes(phase) &&
      Number.isSafeInteger(revision) &&
      Number.isSafeInteger(copied) &&
      (isBelow === undefined || isBelow === true) &&
      (isPartial === undefined || isPartial === true) &&
      (uncheckedSince === undefined || Number.isSafeInteger(uncheckedSince)) &&
      (finishedAt === undefined || typeof finishedAt === 'string')
    if (isPosition)
      return { source, prefix, phase, revision, copied, isBelow, isPartial, uncheckedSince, finishedAt }
  } catch {
    // It is refused below.
  }
  throw new Failure(EXIT.failed, `the key ${key} of the target is no position of a migration`)
}
