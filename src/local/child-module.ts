// Modules of this program that run as processes or threads of their own.

import { getCompileCacheDir } from 'node:module'
import { dirname, extname, join } from 'node:path'

/** Path of the module `name` beside the calling module: in src/ of a clone, in dist/ of the package. */
export function siblingModule({ dirname, filename }: ImportMeta, name: string): string {
  return join(dirname, name + extname(filename))
}

/**
 * Variables with which a child shares the cache of compiled code. Node adds a directory for its version itself, so the
 * child gets the parent directory.
 */
export function compileCacheEnv(): NodeJS.ProcessEnv {
  const dir = getCompileCacheDir()
  return dir === undefined ? {} : { NODE_COMPILE_CACHE: dirname(dir) }
}
