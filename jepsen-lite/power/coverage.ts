// Operations of the storage during a recording. A check of states in which nothing happened proves nothing.

import type { RecordedSession } from './record.ts'

export interface StorageCoverage {
  readonly directories_formatted: number
  readonly directories_reopened: number
  readonly wals_rotated: number
  readonly tables_written: number
  readonly tables_merged: number
  readonly manifests: number
  readonly batches: number
  readonly log_compactions: number
  readonly log_truncations: number
  readonly snapshots_installed: number
  readonly terms: number
  readonly votes: number
  readonly acknowledged_to_leader: number
  readonly answered_to_clients: number
}

export function measureStorageCoverage(sessions: readonly RecordedSession[]): StorageCoverage {
  const marks = sessions.flatMap(({ events }) =>
    events.flatMap((event) => (event.kind === 'mark' ? [event.mark] : [])),
  )
  const disk = sessions.flatMap(({ events }) =>
    events.flatMap((event) => (event.kind === 'disk' ? [event.event] : [])),
  )
  const batches = marks.flatMap((mark) => (mark.kind === 'submitted' ? [mark.batch] : []))
  const writes = batches.flatMap((batch) => batch.writes)
  const created = (pattern: RegExp): number =>
    disk.filter((event) => event.kind === 'create' && pattern.test(event.name)).length
  const count = (kind: (typeof marks)[number]['kind']): number =>
    marks.filter((mark) => mark.kind === kind).length
  return {
    directories_formatted: count('formatted'),
    directories_reopened: count('opened') - count('formatted'),
    // The first WAL of each opening is not a rotation.
    wals_rotated: created(/\.log$/) - count('opened') - count('formatted'),
    tables_written: created(/\.ldb$/),
    tables_merged: disk.filter((event) => event.kind === 'unlink' && event.name.endsWith('.ldb')).length,
    manifests: created(/^MANIFEST-/),
    batches: batches.length,
    log_compactions: batches.filter(({ compactTo }) => compactTo !== undefined).length,
    log_truncations: writes.filter(({ truncateFrom }) => truncateFrom !== undefined).length,
    snapshots_installed: writes.filter(({ snapshot }) => snapshot !== undefined).length,
    terms: count('term'),
    votes: count('vote'),
    acknowledged_to_leader: count('accepted'),
    answered_to_clients: count('answered'),
  }
}

export const listMissing = (coverage: StorageCoverage): string[] =>
  Object.entries(coverage).flatMap(([what, times]) => (times > 0 ? [] : [what.replaceAll('_', ' ')]))
