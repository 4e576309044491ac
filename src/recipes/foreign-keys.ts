// Keys that a recipe finds under its prefix and has not written: those of an import or of another program. A recipe
// trusts a key only together with its lease, where its own keys have one. It leaves a foreign key out, and reports it
// once. Deleting the key ends that (docs/reference/recipes.md).

import { QuorateError } from '../client/index.ts'

/** Returns a function that reports each foreign key once. `onError` may be application code that handles its errors. */
export function foreignKeyReporter(onError: (error: QuorateError) => void) {
  const reported = new Set<string>()
  return (recipe: string, key: string): void => {
    if (reported.has(key)) return
    reported.add(key)
    onError(foreignKeyError(recipe, key))
  }
}

/** Reports each foreign key once in the life of the process, by a warning of the process. */
export const reportForeignKey = foreignKeyReporter(({ message }) =>
  process.emitWarning(message, 'QuorateWarning'),
)

export const foreignKeyError = (recipe: string, key: string): QuorateError =>
  new QuorateError(
    `the key ${JSON.stringify(key)} was not written by a ${recipe} and is left out: delete it if nothing else needs it`,
    { code: 'foreign_key', written: 'no' },
  )
