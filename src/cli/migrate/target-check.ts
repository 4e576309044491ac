// Check of the target by a run that continues a migration. The target must be as the source was at the position:
// every other difference was made by somebody else, and the run changes nothing.
//
// Where the source has compacted that revision, its newest one has to do. A record that has not changed since the
// position must be the same. Of the others, those that were changed after the last transaction of the migration are
// somebody else's. So are those that were changed at a revision of the target without a move of the position, as far
// back as the target has its history.

import { type Client, CompactedError, type KvRecord } from '../../client/index.ts'
import { type KeyRange, keyAfter } from '../../operations/forms/index.ts'
import type { SourceRecord } from './changes.ts'
import { type MigrationPosition, positionKey } from './position.ts'
import { findDifference, pairRecords, type RecordPair, scan } from './scan.ts'
import type { ForeignKeys, TargetKeys } from './target-keys.ts'

export interface TargetCheck {
  readonly source: Client
  readonly target: Client
  readonly range: KeyRange
  readonly position: MigrationPosition
  /** Nothing of the migration was changed in the target after this revision of it. */
  readonly since: number
  readonly signal: AbortSignal
}

/** Notes what the target has in `keys`, and what somebody else has changed in `foreign`. */
export async function checkTarget(check: TargetCheck, keys: TargetKeys, foreign: ForeignKeys): Promise<void> {
  const { source, range, position, signal } = check
  const isExact = position.phase === 'follow' && position.isPartial !== true
  if (isExact) {
    let checked: Uint8Array | undefined
    try {
      const ours = scan(source, range, { revision: position.revision, signal })
      for await (const pair of pairsOf(check, ours)) {
        if (findDifference(pair) === undefined || hasEnded(pair)) note(pair, keys)
        else foreign.add(pair.key)
        checked = pair.key
      }
      return
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
    }
    // The keys before were checked.
    const rest = checked === undefined ? range : { ...range, start: keyAfter(checked) }
    return checkByNewest({ ...check, range: rest }, keys, foreign)
  }
  return checkByNewest(check, keys, foreign)
}

async function checkByNewest(check: TargetCheck, keys: TargetKeys, foreign: ForeignKeys): Promise<void> {
  const { source, range, position, since, signal } = check
  const moves = new PositionMoves(check)
  for await (const pair of pairsOf(check, scan(source, range, { signal }))) {
    const { ours, copy } = pair
    const isUnchanged = ours !== undefined && ours.modRevision <= position.revision
    const isSame = ours !== undefined && findDifference(pair) === undefined
    const wasCopied = ours !== undefined && ours.createRevision <= position.revision
    const isOwn =
      copy === undefined
        ? !wasCopied || position.isPartial === true || hasEnded(pair)
        : isSame || (!isUnchanged && copy.modRevision <= since && (await moves.mayBe(copy.modRevision)))
    if (isOwn) note(pair, keys)
    else foreign.add(pair.key)
  }
}

/** The revisions of the target that move the position of the migration. */
class PositionMoves {
  readonly #check: TargetCheck
  readonly #known = new Map<number, boolean>()

  constructor(check: TargetCheck) {
    this.#check = check
  }

  /** Returns false if the revision is of somebody else; true also if the target has compacted it. */
  async mayBe(revision: number): Promise<boolean> {
    const known = this.#known.get(revision) ?? (await this.#read(revision))
    this.#known.set(revision, known)
    return known
  }

  async #read(revision: number): Promise<boolean> {
    const { target, position, signal } = this.#check
    try {
      const record = await target.get(positionKey(position.prefix), { revision, signal })
      return record?.modRevision === revision
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
      return true
    }
  }
}

/** The same for a copy that was interrupted. `records`: those that it has copied. */
export async function checkCopied(
  check: TargetCheck,
  records: readonly SourceRecord[],
  keys: TargetKeys,
  foreign: ForeignKeys,
): Promise<void> {
  const { target, range, position, since, signal } = check
  const missing = new Map(records.map((record) => [nameOf(record.keyBytes), record]))
  for await (const copy of scan(target, range, { signal })) {
    const name = nameOf(copy.keyBytes)
    const isCopied = missing.delete(name)
    // Values that were not kept are those of the last transaction.
    const isOwn = copy.modRevision <= since && (isCopied || position.isPartial === true)
    if (isOwn) keys.add(copy)
    else foreign.add(copy.keyBytes)
  }
  for (const { lease, keyBytes } of missing.values()) if (lease === undefined) foreign.add(keyBytes)
}

const pairsOf = ({ target, range, signal }: TargetCheck, ours: AsyncIterator<KvRecord>) =>
  pairRecords(ours, scan(target, range, { signal }))

const note = ({ copy }: RecordPair, keys: TargetKeys): void => {
  if (copy !== undefined) keys.add(copy)
}

/** The lease of a key may have ended in the target alone. */
const hasEnded = ({ ours, copy }: RecordPair): boolean => copy === undefined && ours?.lease !== undefined

const nameOf = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
