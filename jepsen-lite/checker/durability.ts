// At the end, when the faults are over, all nodes have the same data, including everything that was acknowledged. The
// other checks test the second half: for them a node's final content is one more read, after everything else
// (partition.ts, revisions.ts).

import type { FinalEvent, History } from '../workload/history.ts'
import type { Anomaly } from './anomaly.ts'

export function checkDurability({ finals }: History): readonly Anomaly[] {
  const [first, ...others] = finals
  if (first === undefined) return []
  return others.flatMap((other) => differences(first, other))
}

function differences(a: FinalEvent, b: FinalEvent): Anomaly[] {
  if (a.revision === b.revision && a.stateHash === b.stateHash && rowsText(a) === rowsText(b)) return []
  const differing = a.rows.length + b.rows.length === 0 ? undefined : firstDifference(a, b)
  const where = differing === undefined ? 'although they hold the same rows' : `and differ in ${differing}`
  return [
    {
      check: 'durability',
      key: differing,
      message:
        `at the end ${a.node} is at revision ${a.revision} (state hash ${a.stateHash}) and ` +
        `${b.node} at ${b.revision} (${b.stateHash}), ${where}`,
      calls: [],
    },
  ]
}

function rowsText({ rows }: FinalEvent): string {
  return JSON.stringify(rows.map(({ key, value, modRevision }) => [key, value, modRevision]).sort())
}

function firstDifference(a: FinalEvent, b: FinalEvent): string | undefined {
  const ofB = new Map(b.rows.map((row) => [row.key, row]))
  for (const row of a.rows) {
    const other = ofB.get(row.key)
    if (other?.value !== row.value || other.modRevision !== row.modRevision) return row.key
    ofB.delete(row.key)
  }
  return ofB.keys().next().value
}
