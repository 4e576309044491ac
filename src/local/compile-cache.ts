// The cache of compiled code, which a child process shares with this one.

import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'

/** Variables for the child. Node adds a directory for its version itself, so the child gets the parent directory. */
export function compileCacheEnv(): NodeJS.ProcessEnv {
  const dir = getCompileCacheDir()
  return dir === undefined ? {} : { NODE_COMPILE_CACHE: dirname(dir) }
}
