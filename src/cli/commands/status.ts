// kv status: what each node reports about itself.

import { Command } from '@commander-js/extra-typings'
import { type NodeStatus, QuorateError, UnreachableError } from '../../client/index.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { withExamples } from '../examples.ts'
import { statusJson, toJson, toJsonLine } from '../format-json.ts'
import { printTable } from '../format-table.ts'
import type { Format } from '../global-flags.ts'
import { byName, sayPainted, writeLine } from '../output.ts'
import type { ProgramContext } from '../program-context.ts'

/** A node that does not answer in this time is shown as unreachable. */
const ANSWER_MS_MAX = 2_000

interface Target {
  readonly name: string | undefined
  readonly url: string
}

interface Row extends Target {
  readonly status: NodeStatus | undefined
  /** Why there is no status. */
  readonly error: QuorateError | undefined
}

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('status'), [
    'kv status',
    'kv status --all --endpoints http://10.0.0.1:7301',
    'kv status -o json',
  ])
    .description('the report of each node')
    .option('--all', 'all members of the cluster, also those that --endpoints does not name')
    .action(async ({ all }) => {
      await withContext(flags(), { kind: 'read' }, (context) => printStatus(context, all === true))
    })

async function printStatus(context: CommandContext, all: boolean): Promise<void> {
  const rows = await Promise.all((await targetsOf(context, all)).map((node) => statusOf(context, node)))
  const answered = rows.flatMap((row) => row.status ?? [])
  if (answered.length === 0) throw noAnswer(rows)
  if (context.format === 'json') await writeLine(toJson(summary(rows, answered)))
  else if (context.format === 'ndjson') {
    for (const row of rows) await writeLine(toJsonLine(nodeJson(row)))
  } else await printRows(context.format, rows)
  for (const node of answered) {
    for (const error of node.errors) sayPainted('red', `${node.name}: ${error}`)
  }
}

/** The nodes that the user named, unless `all`; otherwise all members, from the view of one node. */
async function targetsOf(
  { client, endpoints, timeoutMs, signal }: CommandContext,
  all: boolean,
): Promise<Target[]> {
  if (all || !endpoints.explicit) {
    const { members } = await client.cluster({ timeoutMs: Math.min(timeoutMs, ANSWER_MS_MAX), signal })
    if (members.length > 0) return byName(members).map(({ name, url }) => ({ name, url }))
  }
  return endpoints.urls.map((url) => ({ name: undefined, url }))
}

async function statusOf({ client, timeoutMs, signal }: CommandContext, node: Target): Promise<Row> {
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

/** An error of a node that accepted a connection explains more than a refused connection. */
function noAnswer(rows: readonly Row[]): QuorateError {
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

async function printRows(format: Format, rows: readonly Row[]): Promise<void> {
  await printTable<Row>(
    [
      { title: 'NAME', cell: (row) => row.name },
      { title: 'URL', cell: (row) => row.url, keepsEnd: true },
      { title: 'STATE', cell: (row) => (row.status === undefined ? 'unreachable' : 'running') },
      { title: 'ROLE', cell: (row) => row.status?.role },
      { title: 'TERM', cell: (row) => row.status?.term, alignRight: true },
      { title: 'COMMIT', cell: (row) => row.status?.commitIndex, alignRight: true, wide: true },
      { title: 'APPLIED', cell: (row) => row.status?.appliedIndex, alignRight: true, wide: true },
      { title: 'REVISION', cell: (row) => row.status?.revision, alignRight: true },
      { title: 'STATE HASH', cell: (row) => row.status?.stateHash, wide: true },
    ],
    format,
    rows,
    (row) => (row.status === undefined ? 'red' : row.status.role === 'leader' ? 'green' : undefined),
  )
}
