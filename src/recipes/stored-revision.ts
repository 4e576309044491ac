// A revision of this cluster as the value of a key that has no lease. A migration or an import into another cluster
// restores the value and gives the key another create revision. So the value names the create revision of its key, and
// is a copy elsewhere. A key gets its create revision first, with an empty value: that is no revision yet.

import type { KvRecord } from '../client/index.ts'
import { reportForeignKey } from './foreign-keys.ts'

export interface StoredRevision {
  readonly revision: number
  /** It is a revision of another cluster, from which the key was copied. */
  readonly isCopied: boolean
}

/** The value of a key whose create revision is known; 0: it does not exist. */
export const revisionValue = (revision: number, createRevision: number): string =>
  createRevision === 0 ? '' : JSON.stringify({ revision, create_revision: createRevision })

/** undefined: there is none, or the value is one of another program, which is reported. */
export function storedRevision(recipe: string, record: KvRecord | undefined): StoredRevision | undefined {
  if (record === undefined || record.value.length === 0) return undefined
  const match = VALUE.exec(record.text())
  if (match === null) {
    reportForeignKey(recipe, record.key)
    return undefined
  }
  const [revision, createRevision] = [Number(match[1]), Number(match[2])]
  const isOwn = createRevision === record.createRevision && revision <= record.modRevision
  return { revision, isCopied: !isOwn }
}

const VALUE = /^\{"revision":([0-9]+),"create_revision":([0-9]+)\}$/
