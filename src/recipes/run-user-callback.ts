// Callbacks of the application, called from background work of a recipe.

import { errorText } from './error-text.ts'

/** Reports an error of the callback as an uncaught exception. The background work continues. */
export function runUserCallback(callback: () => void): void {
  try {
    callback()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/** The default for `onError` options: a warning of the process. */
export const warn =
  (recipe: string) =>
  (error: unknown): void =>
    process.emitWarning(`${recipe}: ${errorText(error)}`, 'QuorateWarning')
