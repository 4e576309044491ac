// kv status: what each node reports about itself.

import { type NodeStatus, QuorateError, UnreachableError } from '../../client/index.ts'
import type { Format, GlobalFlags } from '../global-flags.ts'
import { byName, RowWriter, sayPainted, toJson, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'
import { statusJson } from '../shapes.ts'

/** A node that does not answer in this time is shown as unreachable. */
const ANSWER_MS_MAX = 2_000

interface NodeToAsk {
  readonly name: string | undefined
  readonly url: string
}

interface Row extends NodeToAsk {
  readonly status: NodeStatus | undefined
  /** Why there is no status. */
  readonly error: QuorateError | undefined
}

export async function status(global: GlobalFlags): Promise<void> {
  await inSession(global, { kind: 'read' }, async (session) => {
    const rows = await Promise.all((await nodesToAsk(session)).map((node) => ask(session, node)))
    const answered = rows.flatMap((row) => row.status ?? [])
    if (answered.length === 0) throw nobodyAnswered(rows)
    if (session.format === 'json') await writeLine(toJson(summary(rows, answered)))
    else if (session.format === 'ndjson') {
      for (const row of rows) await writeLine(JSON.stringify(nodeJson(row)))
    } else await printTable(session.format, rows)
    for (const node of answered) {
      for (const error of node.errors) sayPainted('red', `${node.name}: ${error}`)
    }
  })
}

/** The nodes that the user named. Otherwise all members, as one of the nodes knows them. */
async function nodesToAsk({ client, endpoints, timeoutMs, signal }: Session): Promise<NodeToAsk[]> {
  if (!endpoints.explicit) {
    const { members } = await client.cluster({ timeoutMs: Math.min(timeoutMs, ANSWER_MS_MAX), signal })
    if (members.length > 0) return byName(members).map(({ name, url }) => ({ name, url }))
  }
  return endpoints.urls.map((url) => ({ name: undefined, url }))
}

async function ask({ client, timeoutMs, signal }: Session, node: NodeToAsk): Promise<Row> {
  try {
    const limitMs = Math.min(timeoutMs, ANSWER_MS_MAX)
    const answer = await client.status({ endpoint: node.url, timeoutMs: limitMs, signal })
    return { ...node, name: answer.name, status: answer, error: undefined }
  } catch (error) {
    // The client refuses an invalid address, for example that of a proxy.
    if (error instanceof TypeError) return { ...node, status: undefined, error: unreachable(error.message) }
    if (!(error instanceof QuorateError) || error.code === 'aborted') throw error
    return { ...node, status: undefined, error }
  }
}

/** The error of a node that accepted a connection says more than that of one that did not. */
function nobodyAnswered(rows: readonly Row[]): QuorateError {
  const errors = rows.flatMap((row) => row.error ?? [])
  const urls = rows.map((row) => row.url).join(', ')
  return (
    errors.find((error) => !(error instanceof UnreachableError)) ?? unreachable(`cannot connect to ${urls}`)
  )
}

const unreachable = (message: string): UnreachableError =>
  new UnreachableError(message, { code: 'unreachable', written: 'no' })

/**
 * A node that is cut off may not know yet that its leader was replaced, so the highest term counts. Not every node of
 * this term may know its leader yet.
 */
function summary(rows: readonly Row[], answered: readonly NodeStatus[]): object {
  const newest = [...answered].sort((a, b) => a.term - b.term).at(-1)
  const informed = answered.find(({ term, leader }) => term === newest?.term && leader !== undefined)
  return {
    cluster_id: newest?.clusterId ?? null,
    leader: informed?.leader ?? null,
    term: newest?.term ?? null,
    nodes: rows.map(nodeJson),
  }
}

function nodeJson({ name, url, status: node }: Row): object {
  if (node === undefined) return { name: name ?? null, url, state: 'unreachable' }
  const { members: _, ...own } = Object.fromEntries(Object.entries(statusJson(node)))
  return { ...own, url, state: 'running' }
}

async function printTable(format: Format, rows: readonly Row[]): Promise<void> {
  const table = new RowWriter<Row>(
    [
      { title: 'NAME', cell: (row) => row.name },
      { title: 'URL', cell: (row) => row.url },
      { title: 'STATE', cell: (row) => (row.status === undefined ? 'unreachable' : 'running') },
      { title: 'ROLE', cell: (row) => row.status?.role },
      { title: 'TERM', cell: (row) => row.status?.term, alignRight: true },
      { title: 'COMMIT', cell: (row) => row.status?.commitIndex, alignRight: true, wide: true },
      { title: 'APPLIED', cell: (row) => row.status?.appliedIndex, alignRight: true, wide: true },
      { title: 'REVISION', cell: (row) => row.status?.revision, alignRight: true },
      { title: 'STATE HASH', cell: (row) => row.status?.stateHash, wide: true },
    ],
    format,
    (row) => (row.status === undefined ? 'red' : row.status.role === 'leader' ? 'green' : undefined),
  )
  for (const row of rows) await table.add(row)
  await table.end()
}
