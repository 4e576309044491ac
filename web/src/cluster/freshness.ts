// The freshness of the reads of pages. Only a leader can serve what holds now. While there is none, the user may choose
// to read what a node has. The choice ends as soon as reads are served by a leader again, and all is read anew.

import { computed, signal } from '@preact/signals'
import type { FreshnessOptions } from '../../../src/operations/forms/freshness.ts'
import { leaderless, newestStale } from './connection.ts'

const isChosen = signal(false)

/** Pages show what a node has applied, however old it is. */
export const readsStale = computed(() => isChosen.value && leaderless.value)

// The next time without a leader asks the user again.
leaderless.subscribe((value) => {
  if (!value) isChosen.value = false
})

export function readStale(): void {
  newestStale.value = undefined
  isChosen.value = true
}

/** The freshness of a read of a page. */
export const pageFreshness = (): FreshnessOptions => (readsStale.peek() ? { consistency: 'stale' } : {})
