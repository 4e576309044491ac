import { extname, join } from 'node:path'

/** Path of the module `name` beside the one that asks. From src/ in a clone, from dist/ in the package. */
export function siblingModule({ dirname, filename }: ImportMeta, name: string): string {
  return join(dirname, name + extname(filename))
}
