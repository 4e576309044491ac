// The children of a folder: keys, and folders that end with the next slash. A folder may hold a million keys, so its
// content is skipped: the next read begins after it.

import { utf8Text } from '../../../../src/bytes/index.ts'
import { compareKeys, prefixEnd } from '../../../../src/operations/forms/places.ts'
import { checkReadable, readKeys } from './key-reads.ts'

export type Child =
  | { readonly kind: 'key'; readonly key: Uint8Array; readonly name: Uint8Array }
  /** `prefix` ends with a slash. */
  | { readonly kind: 'folder'; readonly prefix: Uint8Array; readonly name: Uint8Array }

export interface Children {
  readonly children: readonly Child[]
  /** Where the next page begins; undefined: there is none. */
  readonly next: Uint8Array | undefined
}

const SLASH = 0x2f
const PAGE = 100
/** Keys that one request reads. Small folders are passed without a request of their own. */
const READ = 200
/** Keys that are read where the folder before was large: the next one is likely to be. */
const READ_IN_LARGE = 8
/** Requests for one page, each at most one folder further. */
const READS_MAX = 100

/**
 * Reads one page of the children of the folder `prefix`, from the key `from` on. `show` gets what is read so far: a
 * page of large folders takes a request for each.
 */
export async function readChildren(
  prefix: Uint8Array,
  from: Uint8Array,
  signal: AbortSignal,
  { max = PAGE, show }: { readonly max?: number | undefined; readonly show?: (found: Children) => void } = {},
): Promise<Children> {
  const end = prefix.length === 0 ? undefined : prefixEnd(prefix)
  await checkReadable({ start: prefix, end }, signal)
  const children: Child[] = []
  let start = from
  let limit = READ
  for (let reads = 0; reads < READS_MAX; reads++) {
    const { records, next } = await readKeys({ start, end }, limit, signal)
    let skipTo: Uint8Array | undefined
    const before = children.length
    for (const { key } of records) {
      if (skipTo !== undefined && compareKeys(key, skipTo) < 0) continue
      if (children.length >= max) return { children, next: key }
      const slash = key.indexOf(SLASH, prefix.length)
      if (slash === -1) {
        children.push({ kind: 'key', key, name: key.subarray(prefix.length) })
        continue
      }
      const folder = key.subarray(0, slash + 1)
      children.push({ kind: 'folder', prefix: folder, name: key.subarray(prefix.length, slash + 1) })
      skipTo = prefixEnd(folder)
    }
    if (next === undefined) return { children, next }
    start = skipTo !== undefined && compareKeys(skipTo, next) > 0 ? skipTo : next
    limit = children.length - before > 1 ? READ : READ_IN_LARGE
    show?.({ children: [...children], next: start })
  }
  return { children, next: start }
}

/** A name for a set of keys. */
export const identify = (key: Uint8Array): string => utf8Text(key) ?? `\0${key.join()}`
