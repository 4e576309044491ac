// The stores of all nodes at one instant.
//
// A row is that of the replayed log at the index that the node has applied. The store itself is read through the
// simulated disk, which takes time and so would change the run. The oracle compares each answer with this model.

import type { StoreModel } from '../sim/oracle/model.ts'
import type { ModelRow } from '../sim/oracle/model-row.ts'
import type { StoredRowView, StoresView } from './fold-views.ts'

const KEYS_SHOWN = 12

export interface AppliedNode {
  readonly name: string
  readonly applied: number
}

export function storesView(
  model: Pick<StoreModel, 'at' | 'keys' | 'revisionAt'>,
  nodes: readonly AppliedNode[],
): StoresView {
  const newestIndex = Math.max(0, ...nodes.map(({ applied }) => applied))
  const rows = (index: number, keys: readonly string[]) => keys.map((key) => model.at(key, index))
  // A key that a node still has, or already has.
  const all = model.keys.filter((key) => nodes.some(({ applied }) => model.at(key, applied) !== null))
  const keys = all.slice(0, KEYS_SHOWN)
  const newest = rows(newestIndex, keys)
  return {
    keys,
    more: all.length - keys.length,
    newest: newest.map(rowView),
    nodes: nodes.map(({ name, applied }) => ({
      ...{ name, applied, revision: model.revisionAt(applied) },
      cells: rows(applied, keys).map((row, at) => ({
        row: rowView(row),
        isBehind: row?.modRevision !== newest[at]?.modRevision,
      })),
    })),
  }
}

const rowView = (row: ModelRow | null | undefined): StoredRowView | undefined =>
  row ? { value: row.value, modRevision: row.modRevision, lease: row.lease } : undefined
