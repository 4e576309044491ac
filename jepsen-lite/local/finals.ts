// After the faults: wait until every node has everything that is committed, then take down all that each one holds.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Recorder, Row } from '../history.ts'
import type { LocalCluster, LocalNode } from './cluster.ts'
import type { HttpEnd } from './http.ts'
import { rowOf } from './perform.ts'

const AGAIN_MS = 100
const PAGE_ROWS = 5_000

interface Standing {
  readonly applied: number
  readonly revision: number
  readonly hash: string
  /** What the node itself thinks that somebody should look at. */
  readonly errors: string
}

/** Resolves to what keeps the nodes apart when they have not come together in time. */
export async function recordFinals(
  cluster: LocalCluster,
  recorder: Recorder,
  limitMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const deadline = performance.now() + limitMs
  let apart = 'nothing was heard of them'
  let before: string | undefined
  while (performance.now() < deadline && !signal.aborted) {
    const standings = await Promise.all(cluster.members.map((node) => standingOf(cluster, node)))
    apart = standings.map((standing, at) => `${cluster.members[at]?.name}: ${shown(standing)}`).join(', ')
    const [first] = standings
    const together =
      first !== undefined &&
      standings.every(
        (one) => one?.applied === first.applied && one.revision === first.revision && one.errors === '',
      )
    // Twice the same: nothing that was late in the network has come in since.
    if (together && apart === before) return readAll(cluster, recorder, first.revision)
    before = together ? apart : undefined
    await sleep(AGAIN_MS)
  }
  return `the nodes have not come to the same state within ${limitMs} ms (${apart})`
}

async function readAll(
  cluster: LocalCluster,
  recorder: Recorder,
  revision: number,
): Promise<string | undefined> {
  for (const node of cluster.members) {
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
      if (next !== undefined && next === after)
        return `${node.name} does not get beyond ${next} in the last read`
      after = next
    } while (after !== undefined)
    const standing = await standingOf(cluster, node)
    recorder.final(node.name, revision, standing?.hash ?? '', rows)
  }
  return undefined
}

async function standingOf(cluster: LocalCluster, node: LocalNode): Promise<Standing | undefined> {
  const status = objectOf(await cluster.ask(node, 'GET', '/v1/status', undefined, 1_000))
  if (status === undefined) return undefined
  return {
    applied: Number(status.applied_index),
    revision: Number(status.revision),
    hash: String(status.state_hash),
    errors: Array.isArray(status.errors) ? status.errors.join('; ') : '',
  }
}

const shown = (standing: Standing | undefined): string =>
  standing === undefined
    ? 'no answer'
    : [`applied ${standing.applied}`, `revision ${standing.revision}`, standing.errors]
        .filter((part) => part !== '')
        .join(' ')

function objectOf(end: HttpEnd): Record<string, unknown> | undefined {
  if (end.kind !== 'answer' || end.status !== 200) return undefined
  const parsed: unknown = JSON.parse(end.body)
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : undefined
}
