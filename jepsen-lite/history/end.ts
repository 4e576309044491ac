// Parts of a history that its recorders name.

import type { HistoryEvent, RecordedResult } from '../workload/history.ts'

/** How an operation has ended. */
export type End =
  | { readonly result: RecordedResult }
  | { readonly fail: string }
  | { readonly unknown: string }

/** A place in a history. */
export type Mark = HistoryEvent | undefined
