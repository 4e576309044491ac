// Survey of what a migration would do, and of what differs now. Nothing is written.

import { type Client, CompactedError } from '../../client/index.ts'
import { prefixRange } from '../../operations/forms/index.ts'
import { sourceRecord } from './changes.ts'
import { type MigrationPosition, positionKey, readPosition } from './position.ts'
import { type Difference, findDifference, pairRecords, scan } from './scan.ts'
import type { TargetLimits } from './target-limits.ts'

/** Limit on the differing keys that a survey names. */
const NAMED_MAX = 100

export interface SurveyOptions {
  readonly source: Client
  readonly target: Client
  readonly prefix: string
  readonly signal: AbortSignal
}

export interface SideSurvey {
  readonly revision: number
  readonly keys: number
  readonly bytes: number
  readonly leases: number
}

export interface MigrationSurvey {
  readonly source: SideSurvey
  readonly target: Pick<SideSurvey, 'revision' | 'keys'>
  /** undefined: no migration of these keys has begun. */
  readonly position: MigrationPosition | undefined
  readonly positionKey: string
}

/** Throws a `Failure` if the target cannot store what the source has. */
export async function survey(options: SurveyOptions & { readonly limits: TargetLimits }) {
  const { source, target, prefix, limits, signal } = options
  const range = prefixRange(Buffer.from(prefix))
  const position = await readPosition(target, prefix, { signal })
  const revision = await readRevision(source, prefix, signal)
  const leases = new Set<string>()
  let [keys, bytes] = [0, 0]
  for await (const record of scan(source, range, { revision, signal })) {
    const copied = sourceRecord(record)
    limits.add(copied)
    keys += 1
    bytes += copied.bytes
    if (record.lease !== undefined) leases.add(record.lease)
  }
  limits.check()
  let targetKeys = 0
  for await (const _ of scan(target, range, { keysOnly: true, signal })) targetKeys += 1
  return {
    source: { revision, keys, bytes, leases: leases.size },
    target: { revision: await readRevision(target, prefix, signal), keys: targetKeys },
    position,
    positionKey: positionKey(prefix),
  } satisfies MigrationSurvey
}

export interface Verification {
  /** The revision of the source that was compared. */
  readonly revision: number
  /** The revision of the source by now. */
  readonly newest: number
  readonly keys: number
  readonly leases: number
  /** Differences that no later change of the source explains. */
  readonly different: number
  readonly differences: readonly { readonly key: Uint8Array; readonly difference: Difference }[]
  /** Keys that the source has changed after the position of the migration: they are not copied yet. */
  readonly outstanding: number
}

/**
 * Compares both sides, and changes nothing: at the position of a migration, or at the newest revision of the source if
 * there is none, or that one is compacted. The target is read at the revision that has the position, as another run may
 * move it.
 */
export async function verify(options: SurveyOptions): Promise<Verification> {
  const { source, target, prefix, signal } = options
  let ofTarget = 0
  const onAnswer = (info: { readonly revision?: number | undefined }) => (ofTarget = info.revision ?? 0)
  const position = await readPosition(target, prefix, { signal, onAnswer })
  const isWhole = position?.phase === 'follow' || position?.phase === 'finished'
  const copiedUpTo = isWhole ? position.revision : undefined
  if (copiedUpTo !== undefined)
    try {
      return await verifyAt(options, ofTarget, copiedUpTo)
    } catch (error) {
      if (!(error instanceof CompactedError)) throw error
    }
  return verifyAt(options, ofTarget, await readRevision(source, prefix, signal), copiedUpTo)
}

async function verifyAt(
  { source, target, prefix, signal }: SurveyOptions,
  ofTarget: number,
  revision: number,
  copiedUpTo = revision,
): Promise<Verification> {
  const range = prefixRange(Buffer.from(prefix))
  const leases = new Set<string>()
  const differences: { readonly key: Uint8Array; readonly difference: Difference }[] = []
  let [keys, different, outstanding] = [0, 0, 0]
  const ours = scan(source, range, { revision, signal })
  const copies = scan(target, range, { revision: ofTarget, signal })
  for await (const pair of pairRecords(ours, copies)) {
    if (pair.ours !== undefined) keys += 1
    if (pair.ours?.lease !== undefined) leases.add(pair.ours.lease)
    const difference = findDifference(pair)
    if (difference === undefined) continue
    if (pair.ours !== undefined && pair.ours.modRevision > copiedUpTo) {
      outstanding += 1
      continue
    }
    different += 1
    if (differences.length < NAMED_MAX) differences.push({ key: pair.key, difference })
  }
  const newest = await readRevision(source, prefix, signal)
  return { revision, newest, keys, leases: leases.size, different, differences, outstanding }
}

async function readRevision(client: Client, prefix: string, signal: AbortSignal): Promise<number> {
  let revision = 0
  const onAnswer = (info: { readonly revision?: number | undefined }) => (revision = info.revision ?? 0)
  await client.get(`${prefix}\0`, { signal, onAnswer })
  return revision
}
