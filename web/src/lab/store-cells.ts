// The words of the table of stores. Pure functions.

import type { StoredKeyView, StoredRowView } from '../../../jepsen-lite/lab/fold-views.ts'

const VALUE_SHOWN_MAX = 24

export const rowText = (row: StoredRowView | undefined): string =>
  row === undefined ? 'no value' : valueText(row.value)

/** The end of a long value. */
export const valueText = (value: string): string =>
  value.length <= VALUE_SHOWN_MAX ? value : `…${value.slice(1 - VALUE_SHOWN_MAX)}`

/** `c1.0, changed at revision 2; the newest is c2.0 of revision 3`. */
export function cellText({ row, isBehind }: StoredKeyView, newest: StoredRowView | undefined): string {
  const own = row === undefined ? rowText(row) : `${rowText(row)}, changed at revision ${row.modRevision}`
  const lease = row?.lease === undefined ? '' : `, with lease ${row.lease}`
  if (!isBehind) return own + lease
  return newest === undefined
    ? `${own}${lease}; another node has applied that it was deleted`
    : `${own}${lease}; the newest is ${rowText(newest)} of revision ${newest.modRevision}`
}
