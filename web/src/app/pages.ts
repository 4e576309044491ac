// The pages of the console. A page has a link in the rail, or stands under a page that leads to it.

import type { ComponentType } from 'preact'
import type { IconName } from '../design/icon.tsx'

interface LoadedPage {
  /** Loads its module, when it is first shown. */
  readonly load: () => Promise<{ readonly Page: ComponentType }>
}

export interface LinkedPage extends LoadedPage {
  readonly text: string
  readonly icon: IconName
  /** Only the console of a local cluster has it. */
  readonly isOfLocalCluster?: true
}

interface PageUnder extends LoadedPage {
  /** The page that leads to it. */
  readonly under: string
}

const TABLE = {
  overview: { load: () => import('../pages/overview/overview.tsx'), text: 'Overview', icon: 'nodes' },
  keys: { load: () => import('../pages/keys/keys.tsx'), text: 'Keys', icon: 'keys' },
  transaction: { load: () => import('../pages/transaction/transaction.tsx'), under: 'keys' },
  live: { load: () => import('../pages/live/live.tsx'), text: 'Live', icon: 'pulse' },
  coordination: {
    load: () => import('../pages/coordination/coordination.tsx'),
    text: 'Coordination',
    icon: 'lock',
  },
  operation: { load: () => import('../pages/operation/operation.tsx'), text: 'Operation', icon: 'sliders' },
  faults: {
    load: () => import('../pages/faults/faults.tsx'),
    text: 'Faults',
    icon: 'cut',
    isOfLocalCluster: true,
  },
} satisfies Readonly<Record<string, LinkedPage | PageUnder>>

const PAGES: ReadonlyMap<string, LinkedPage | PageUnder> = new Map(Object.entries(TABLE))

/** undefined: there is no such page. */
export const findPage = (name: string): LinkedPage | PageUnder | undefined => PAGES.get(name)

/** The pages with links, in the order of the rail. */
export const linkedPages = (isOfLocalCluster: boolean): readonly (readonly [string, LinkedPage])[] =>
  [...PAGES].filter(
    (entry): entry is [string, LinkedPage] =>
      'text' in entry[1] && (isOfLocalCluster || entry[1].isOfLocalCluster !== true),
  )
