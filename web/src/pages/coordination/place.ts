// Links within the page: `#/coordination/locks/NAME`. A name that is no UTF-8 is in `hex`.

import { encodeUtf8, utf8Text } from '../../../../src/bytes/index.ts'
import { toHex } from '../../design/bytes-text.tsx'
import { href, type PageRoute } from '../../route.ts'
import { fromHex } from '../keys/key-route.ts'

export const TABS = ['locks', 'elections', 'semaphores', 'queues', 'services', 'sagas', 'leases'] as const
export type CoordinationTab = (typeof TABS)[number]

export interface CoordinationPlace {
  readonly tab: CoordinationTab
  /** The name of the one that is shown; undefined: all are listed. */
  readonly name: Uint8Array | undefined
  /** The recipe, where it is not the first one of the tab. */
  readonly recipe?: string | undefined
  /** One part of it, such as an item of a queue. */
  readonly part?: string | undefined
  /** Where the shown page of the list begins: a key in hexadecimal, or the lease before; undefined: the first page. */
  readonly from?: string | undefined
}

export function readPlace({ rest, query }: Pick<PageRoute, 'rest' | 'query'>): CoordinationPlace {
  const slash = rest.indexOf('/')
  const tab = slash === -1 ? rest : rest.slice(0, slash)
  const name = slash === -1 ? '' : rest.slice(slash + 1)
  const hex = query.get('hex')
  return {
    tab: TABS.find((each) => each === tab) ?? 'locks',
    name: hex !== null ? fromHex(hex) : name === '' ? undefined : encodeUtf8(name),
    recipe: query.get('recipe') ?? undefined,
    part: query.get('part') ?? undefined,
    from: query.get('from') ?? undefined,
  }
}

export function placeHref({ tab, name, recipe, part, from }: CoordinationPlace): string {
  const text = name && utf8Text(name)
  return href('coordination', text === undefined || text === '' ? tab : `${tab}/${text}`, {
    hex: name !== undefined && text === undefined ? toHex(name) : undefined,
    recipe,
    part,
    from,
  })
}
