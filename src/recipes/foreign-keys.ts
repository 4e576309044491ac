// Keys that a recipe finds under its prefix and has not written: those of an import or of another program. A recipe
// trusts a key only together with its lease, where its own keys have one. It leaves a foreign key out, and reports it
// once. Deleting the key ends that (docs/reference/recipes.md).

import { type KvRecord, QuorateError } from '../client/index.ts'

/** An import may have restored thousands of foreign keys, and another program may write new ones without end. */
const REPORTS_MAX = 1_000

const reported = new Set<string>()

/** Reports each foreign key once in the life of the process, by a warning of the process. */
export function reportForeignKey(recipe: string, key: string, hint = ''): void {
  if (reported.has(key) || reported.size === REPORTS_MAX) return
  reported.add(key)
  const { message } = foreignKeyError(recipe, key, hint, reported.size === REPORTS_MAX)
  process.emitWarning(message, 'QuorateWarning')
}

/** Whether a lease owns the key, so that it goes with its owner. Reports a key without one. */
export function isOwned(recipe: string, { key, lease }: Pick<KvRecord, 'key' | 'lease'>): boolean {
  if (lease === undefined) reportForeignKey(recipe, key)
  return lease !== undefined
}

export const foreignKeyError = (recipe: string, key: string, hint = '', isLast = false): QuorateError =>
  new QuorateError(
    `the key ${JSON.stringify(key)} was not written by a ${recipe} and is left out: delete it if nothing else needs it` +
      hint +
      (isLast ? `; after ${REPORTS_MAX} such keys, no more are reported` : ''),
    { code: 'foreign_key', written: 'no' },
  )
