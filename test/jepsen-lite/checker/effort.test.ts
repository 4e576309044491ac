// The cost of a verdict. A broken store breaks many promises at once; the verdict and its witness must not take
// minutes.

import { expect, test } from 'vitest'
import { check, MODELS } from '../../../jepsen-lite/checker/index.ts'
import { partition } from '../../../jepsen-lite/checker/partition.ts'
import { search } from '../../../jepsen-lite/checker/search.ts'
import {
  buildHistory,
  type HistoryEvent,
  type HistoryOperation,
  type RecordedResult,
} from '../../../jepsen-lite/workload/history.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'

const OPERATIONS = 2_000
const CLIENTS = 60

interface Open {
  readonly id: number
  readonly op: Exclude<HistoryOperation, { f: 'range' }>
  result: RecordedResult | undefined
}

/**
 * Ten keys. Reads of six of them may show an old value; four changes in ten have an unknown outcome.
 */
function brokenStore(): HistoryEvent[] {
  const random = new Random('c')
  const events: HistoryEvent[] = [{ type: 'history', version: 1, workload: 'a test', command: '' }]
  const rows = new Map<string, { value: string; mod: number }>()
  const open: Open[] = []
  let revision = 1
  const apply = ({ id, op }: Open): RecordedResult => {
    const row = rows.get(op.key)
    if (op.f === 'put') {
      revision += 1
      rows.set(op.key, { value: op.value, mod: revision })
      return { modRevision: revision, revision }
    }
    if (op.f === 'del') {
      if (row === undefined) return { deleted: 0, revision }
      rows.delete(op.key)
      revision += 1
      return { deleted: 1, revision }
    }
    const lies = Number(op.key.slice(1)) < 6 && id > OPERATIONS / 2 && random.chance(0.1)
    if (lies) return { value: `${1 + random.below(OPERATIONS / 4)}`, modRevision: 2, revision }
    return row === undefined
      ? { value: null, revision }
      : { value: row.value, modRevision: row.mod, revision }
  }
  let lastId = 0
  for (let time = 1; lastId < OPERATIONS || open.length > 0; time++) {
    if (lastId < OPERATIONS && open.length < CLIENTS && random.chance(0.5)) {
      const id = ++lastId
      const key = `k${random.below(10)}`
      const draw = random.next()
      const op: Open['op'] =
        draw < 0.5 ? { f: 'get', key } : draw < 0.9 ? { f: 'put', key, value: `${id}` } : { f: 'del', key }
      events.push({ type: 'invoke', id, client: id, time, node: 'n1', op })
      open.push({ id, op, result: undefined })
    } else if (open.length > 0) {
      const at = random.below(open.length)
      const one = open[at]
      if (one === undefined) continue
      if (one.result === undefined) {
        one.result = apply(one)
        continue
      }
      open.splice(at, 1)
      const { id, op, result } = one
      if (op.f !== 'get' && random.chance(0.4)) events.push({ type: 'unknown', id, time, why: 'a test' })
      else events.push({ type: 'ok', id, time, result })
    }
  }
  return events
}

test('two thousand operations on ten keys of which six are wrong: a verdict and its witnesses within a bounded search', () => {
  const { verdict, linearizability } = check(buildHistory(brokenStore()))
  expect(verdict).toBe('violation')
  const failures = linearizability.keys.flatMap(({ failure }) => failure ?? [])
  expect(failures.length).toBeGreaterThan(0)
  // Once one key is wrong, the others are worth little: ten times the budget that is left to each.
  expect(linearizability.configurations).toBeLessThan(500_000)
  for (const failure of failures) expect(failure.witness().length).toBeGreaterThan(0)
})

test('a search that forgets what steps made of states finds the same: there may be more of them than a Map holds', () => {
  const model = MODELS.get('versioned-register')
  if (model === undefined) throw new Error('no such model')
  for (const calls of partition(buildHistory(brokenStore()), model).values()) {
    const forgetting = (knownMax?: number) => search(calls, model, model.initial(null), 2_000, knownMax)
    expect(forgetting(3)).toEqual(forgetting())
  }
})
