// After the faults: waits until all nodes have applied everything that is committed, then reads and records all rows of
// each node.

import { setTimeout as sleep } from 'node:timers/promises'
import { compareKeys } from '../checker/keys.ts'
import type { RecordedRow, Recorder } from '../workload/history.ts'
import type { HttpEnd } from './wires/http/http-client.ts'
import { json, parseRow } from './wires/http/key-requests.ts'

const AGAIN_MS = 100
const PAGE_ROWS = 5_000
const STATUS_MS = 1_000

/** The part of `LocalCluster` that is needed here. */
interface RequestedRead<Node> {
  readonly members: readonly Node[]
  request(node: Node, method: 'GET', target: string, body: undefined, timeoutMs: number): Promise<HttpEnd>
}

interface Named {
  readonly name: string
}

interface NodeAnswer {
  readonly applied: number
  readonly revision: number
  readonly hash: string
  /** The problems that the status of the node reports. */
  readonly errors: string
}

/** Resolves to the reason if the nodes did not reach the same state in time, or a last read was wrong. */
export async function recordFinalReads<Node extends Named>(
  cluster: RequestedRead<Node>,
  recorder: Recorder,
  limitMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const deadline = performance.now() + limitMs
  let apart = 'no node got a request'
  let before: string | undefined
  while (performance.now() < deadline && !signal.aborted) {
    const readings = await Promise.all(
      cluster.members.map(async (node) => ({ node, standing: await requestStanding(cluster, node) })),
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
    // Equal twice in a row, so no late message has changed anything.
    if (together && apart === before) return readAll(cluster, recorder, whole)
    before = together ? apart : undefined
    await sleep(AGAIN_MS)
  }
  return `the nodes did not reach the same state within ${limitMs} ms (${apart})`
}

/**
 * All nodes have applied the same entries, so the state hashes of `readings` are recorded and compared. They are not
 * read again.
 */
async function readAll<Node extends Named>(
  cluster: RequestedRead<Node>,
  recorder: Recorder,
  readings: readonly { readonly node: Node; readonly standing: NodeAnswer }[],
): Promise<string | undefined> {
  for (const {
    node,
    standing: { revision, hash },
  } of readings) {
    const rows: RecordedRow[] = []
    let after: string | undefined
    do {
      const from = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
      const page = parseOkAnswer(
        await cluster.request(
          node,
          'GET',
          `/v1/kv?consistency=stale&limit=${PAGE_ROWS}${from}`,
          undefined,
          20_000,
        ),
      )
      if (!Array.isArray(page?.kvs)) return `${node.name} did not answer the last read`
      if (page.revision !== revision)
        return `${node.name} changed to revision ${page.revision} after all nodes had reached revision ${revision}`
      try {
        rows.push(...page.kvs.map(parseRow))
      } catch (error) {
        return `${node.name} gave a wrong answer to the last read: ${error instanceof Error ? error.message : String(error)}`
      }
      const next = typeof page.next === 'string' ? page.next : undefined
      if (next !== undefined && !leadsOn(rows, next, after))
        return `${node.name} does not advance in the last read: its last row is ${rows.at(-1)?.key ?? 'none'}, but the next page is to begin after ${next}`
      after = next
    } while (after !== undefined)
    recorder.final(node.name, revision, hash, rows)
  }
  return undefined
}

/**
 * The next page begins after the last row of this one, and further than this page began. Without this check, a node
 * that repeats a page would be read without end.
 */
const leadsOn = (rows: readonly RecordedRow[], next: string, after: string | undefined): boolean =>
  next === rows.at(-1)?.key && (after === undefined || compareKeys(after, next) < 0)

/** Returns undefined if the node did not answer, or a field was missing. */
async function requestStanding<Node>(
  cluster: RequestedRead<Node>,
  node: Node,
): Promise<NodeAnswer | undefined> {
  const status = parseOkAnswer(await cluster.request(node, 'GET', '/v1/status', undefined, STATUS_MS))
  if (status === undefined) return undefined
  const { applied_index: applied, revision, state_hash: hash, errors } = status
  const isWhole = typeof applied === 'number' && typeof revision === 'number' && typeof hash === 'string'
  return isWhole && Array.isArray(errors) ? { applied, revision, hash, errors: errors.join('; ') } : undefined
}

const shown = (standing: NodeAnswer | undefined): string =>
  standing === undefined
    ? 'no answer'
    : [`applied ${standing.applied}`, `revision ${standing.revision}`, standing.errors]
        .filter((part) => part !== '')
        .join(' ')

const parseOkAnswer = (end: HttpEnd): Record<string, unknown> | undefined =>
  end.kind === 'answer' && end.status === 200 ? json(end) : undefined
