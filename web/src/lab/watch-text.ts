// The events that a watch has received, as text.

import type { WatchEventView, WatchView } from '../../../jepsen-lite/lab/view.ts'
import { valueText } from './store-cells.ts'

/** How many are shown. */
const SHOWN = 8

export const watchPlace = ({ name, connection }: Pick<WatchView, 'name' | 'connection'>): string =>
  connection === undefined ? `${name}, at no node` : `${name} at ${connection}`

/** The newest events, the oldest of them first: `k0 = c1.0 @2`. */
export function watchText({ received, events }: Pick<WatchView, 'received' | 'events'>): string {
  if (received === 0) return 'no event yet'
  const shown = events.slice(-SHOWN)
  const earlier = received - shown.length
  return [...(earlier > 0 ? [`… ${earlier} earlier`] : []), ...shown.map(eventText)].join(', ')
}

const eventText = ({ key, value, revision }: WatchEventView): string =>
  `${key} ${value === undefined ? 'deleted' : `= ${valueText(value)}`} @${revision}`
