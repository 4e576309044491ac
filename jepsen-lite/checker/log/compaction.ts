// Answers about compaction: history begins no later than a client has requested. After an answered compaction, nothing
// before its revision can be read.

import { FIRST_REVISION, type History } from '../../workload/history.ts'
import type { Anomaly } from '../anomaly.ts'
import { isStaleRead } from '../partition.ts'

export function checkCompaction({ header, calls, storeCalls }: History): Anomaly[] {
  const compactions = storeCalls.flatMap(({ id, op, outcome, start, end }) => {
    if (op.f !== 'compact' || outcome.kind === 'fail') return []
    if (outcome.kind === 'unknown')
      return [{ id, revision: op.revision, start, end: Number.POSITIVE_INFINITY }]
    return outcome.result.applied === false ? [] : [{ id, revision: op.revision, start, end }]
  })
  const findings: Anomaly[] = []
  const find = (ids: readonly number[], message: string): void => {
    findings.push({ check: 'log', key: undefined, calls: ids, message })
  }
  /** `least`: the lowest revision to which a compaction explains the refusal. */
  const refused = (id: number, revision: number, least: number, position: number): void => {
    // The first revision counts as compacted from the beginning on. Who was not recorded may have compacted as well.
    if (
      header.complete === true &&
      revision > FIRST_REVISION &&
      !compactions.some((one) => one.revision >= least && one.start < position)
    )
      find(
        [id],
        `operation ${id} learned that revision ${revision} is compacted, and nobody had requested that`,
      )
  }
  for (const call of calls) {
    const { id, op, outcome, start, end } = call
    if (op.f !== 'get' || op.at === undefined || outcome.kind !== 'ok') continue
    const { at } = op
    if (outcome.result.applied === false) refused(id, at, at + 1, end)
    // A stale read may be served by a node that has not compacted yet.
    else if (!isStaleRead(call)) {
      const done = compactions.find((one) => one.revision > at && one.end < start)
      if (done !== undefined)
        find(
          [done.id, id],
          `operation ${id} read revision ${at}, and operation ${done.id} had compacted up to ${done.revision}`,
        )
    }
  }
  for (const { id, op, outcome, end } of storeCalls)
    if (op.f === 'compact' && outcome.kind === 'ok' && outcome.result.applied === false)
      refused(id, op.revision, op.revision, end)
  return findings
}
