import { extname, join } from 'node:path'

/** Path of the module `name` beside the calling module: in src/ of a clone, in dist/ of the package. */
export function siblingModule({ dirname, filename }: ImportMeta, name: string): string {
  return join(dirname, name + extname(filename))
}
