// Loads fast-check. It is an optional peer dependency: only the functions that make an arbitrary load it, when they are
// called.

import { createRequire } from 'node:module'

/**
 * `where`: the called function, for the message.
 *
 * @throws Error when fast-check is not installed
 */
export function fastCheck(where: string): typeof import('fast-check') {
  try {
    return createRequire(import.meta.url)('fast-check')
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND'
    if (!isMissing) throw error
    throw new Error(`${where} needs the package fast-check: npm install --save-dev fast-check`, {
      cause: error,
    })
  }
}
