// Links to keys, prefixes and revisions: `#/keys/config/a?rev=12&tab=history`. A key that is no UTF-8 is in `hex`.

import { encodeUtf8, utf8Text } from '../../../../src/bytes/index.ts'
import { toHex } from '../../design/bytes-text.tsx'
import { href, type PageRoute } from '../../route.ts'

export type KeysView = 'tree' | 'list'
export type KeyTab = 'value' | 'history'

export interface KeysPlace {
  /** The chosen key. */
  readonly key: Uint8Array | undefined
  readonly tab: KeyTab
  /** The revision at which the key is shown; undefined: now. */
  readonly revision: number | undefined
  readonly view: KeysView
  /** Only keys that begin with it are listed. */
  readonly prefix: string
  /** The last key of the page before, in hexadecimal; undefined: the first page. */
  readonly after: string | undefined
}

export function readPlace({ rest, query }: PageRoute): KeysPlace {
  const hex = query.get('hex')
  const revision = Number(query.get('rev'))
  return {
    key: hex !== null ? fromHex(hex) : rest === '' ? undefined : encodeUtf8(rest),
    tab: query.get('tab') === 'history' ? 'history' : 'value',
    revision: Number.isSafeInteger(revision) && revision > 0 ? revision : undefined,
    view: query.get('view') === 'list' ? 'list' : 'tree',
    prefix: query.get('prefix') ?? '',
    after: query.get('after') ?? undefined,
  }
}

/** The link to a place. Left out are the parts that a place has unless the link says otherwise. */
export function keysHref(place: Partial<KeysPlace>): string {
  const { key, tab, revision, view, prefix, after } = place
  const text = key && utf8Text(key)
  // A key of dots only would look like a step in a path.
  const isInPath = text !== undefined && !/^\.{1,2}$/.test(text)
  return href('keys', isInPath ? text : '', {
    hex: key !== undefined && !isInPath ? toHex(key) : undefined,
    rev: revision?.toString(),
    tab: tab === 'history' ? tab : undefined,
    view: view === 'list' ? view : undefined,
    prefix: prefix || undefined,
    after,
  })
}

export function fromHex(hex: string): Uint8Array | undefined {
  if (!/^([0-9a-f]{2})+$/.test(hex)) return undefined
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
