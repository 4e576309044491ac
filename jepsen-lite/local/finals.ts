// After the faults: wait until every node has everything that is committed, then take down all that each one holds.

import { setTimeout as sleep } from 'node:timers/promises'
import { compareKeys } from '../checker/keys.ts'
import type { Recorder, Row } from '../history.ts'
import type { HttpEnd } from './http.ts'
import { json, rowOf } from './perform.ts'

const AGAIN_MS = 100
const PAGE_ROWS = 5_000
const STATUS_MS = 1_000

/** `LocalCluster`, as far as it is needed here. */
interface Asked<Node> {
  readonly members: readonly Node[]
  ask(node: Node, method: 'GET', target: string, body: undefined, timeoutMs: number): Promise<HttpEnd>
}

interface Named {
  readonly name: string
}

interface Standing {
  readonly applied: number
  readonly revision: number
  readonly hash: string
  /** What the node itself thinks that somebody should look at. */
  readonly errors: string
}

/** Resolves to what keeps the nodes apart when they have not come together in time. */
export async function recordFinals<Node extends Named>(
  cluster: Asked<Node>,
  recorder: Recorder,
  limitMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const deadline = performance.now() + limitMs
  let apart = 'nothing was heard of them'
  let before: string | undefined
  while (performance.now() < deadline && !signal.aborted) {
    const readings = await Promise.all(
      cluster.members.map(async (node) => ({ node, standing: await standingOf(cluster, node) })),
    )
    apart = readings.map(({ node, standing }) => `${node.name}: ${shown(standing)}`).join(', ')
    const whole = readings.flatMap(({ node, standing }) =>
      standing === undefined ? [] : [{ node, standing }],
    )
    const [first] = whole
    const together =
      first !== undefined &&
      whole.length === readings.length &&
      whole.every(
        ({ standing: { applied, revision, errors } }) =>
          applied === first.standing.applied && revision === first.standing.revision && errors === '',
      )
    // Twice the same: nothing that was late in the network has come in since.
    if (together && apart === before) return readAll(cluster, recorder, whole)
    before = together ? apart : undefined
    await sleep(AGAIN_MS)
  }
  return `the nodes have not come to the same state within ${limitMs} ms (${apart})`
}

/**
 * Each has applied the same entries: so the hashes that they told then are those to compare, and none is asked for
 * again.
 */
async function readAll<Node extends Named>(
  cluster: Asked<Node>,
  recorder: Recorder,
  readings: readonly { readonly node: Node; readonly standing: Standing }[],
): Promise<string | undefined> {
  for (const {
    node,
    standing: { revision, hash },
  } of readings) {
    const rows: Row[] = []
    let after: string | undefined
    do {
      const from = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
      const page = objectOf(
        await cluster.ask(
          node,
          'GET',
          `/v1/kv?consistency=stale&limit=${PAGE_ROWS}${from}`,
          undefined,
          20_000,
        ),
      )
      if (!Array.isArray(page?.kvs)) return `${node.name} did not answer the last read`
      if (page.revision !== revision)
        return `${node.name} went on to revision ${page.revision} after all was quiet`
      try {
        rows.push(...page.kvs.map(rowOf))
      } catch (error) {
        return `${node.name} gave a last read that is none: ${error instanceof Error ? error.message : String(error)}`
      }
      const next = typeof page.next === 'string' ? page.next : undefined
      if (next !== undefined && !leadsOn(rows, next, after))
        return `${node.name} does not get on in the last read: it goes on after ${next} behind ${rows.at(-1)?.key ?? 'nothing'}`
      after = next
    } while (after !== undefined)
    recorder.final(node.name, revision, hash, rows)
  }
  return undefined
}

/**
 * A page goes on behind its last row, and each further than the one before: whoever turns in a circle would be read for
 * ever.
 */
const leadsOn = (rows: readonly Row[], next: string, after: string | undefined): boolean =>
  next === rows.at(-1)?.key && (after === undefined || compareKeys(after, next) < 0)

/** undefined: it did not answer, or not with all of these. */
async function standingOf<Node>(cluster: Asked<Node>, node: Node): Promise<Standing | undefined> {
  const status = objectOf(await cluster.ask(node, 'GET', '/v1/status', undefined, STATUS_MS))
  if (status === undefined) return undefined
  const { applied_index: applied, revision, state_hash: hash, errors } = status
  const isWhole = typeof applied === 'number' && typeof revision === 'number' && typeof hash === 'string'
  return isWhole && Array.isArray(errors) ? { applied, revision, hash, errors: errors.join('; ') } : undefined
}

const shown = (standing: Standing | undefined): string =>
  standing === undefined
    ? 'no answer'
    : [`applied ${standing.applied}`, `revision ${standing.revision}`, standing.errors]
        .filter((part) => part !== '')
        .join(' ')

const objectOf = (end: HttpEnd): Record<string, unknown> | undefined =>
  end.kind === 'answer' && end.status === 200 ? json(end) : undefined
