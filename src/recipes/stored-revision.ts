// A revision of this cluster as the value of a key that has no lease. An import into another cluster restores the value
// and gives the key another create revision. So the value names the create revision of its key, and counts only there.
// A key gets its create revision first, with an empty value: that is no revision yet.

import type { KvRecord } from '../client/index.ts'
import { reportForeignKey } from './foreign-keys.ts'

/** The value of a key whose create revision is known; 0: it does not exist. */
export const revisionValue = (revision: number, createRevision: number): string =>
  createRevision === 0 ? '' : JSON.stringify({ revision, create_revision: createRevision })

/** undefined: there is none, or it is one of another cluster, which is reported. */
export function storedRevision(recipe: string, record: KvRecord | undefined): number | undefined {
  if (record === undefined || record.value.length === 0) return undefined
  const [, revision, createRevision] = VALUE.exec(record.text()) ?? []
  if (Number(createRevision) === record.createRevision && Number(revision) <= record.modRevision)
    return Number(revision)
  reportForeignKey(recipe, record.key)
  return undefined
}

const VALUE = /^\{"revision":([0-9]+),"create_revision":([0-9]+)\}$/
