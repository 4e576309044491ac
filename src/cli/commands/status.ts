// kv status: what each node reports about itself, and with --all the health of the cluster.

import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from '@commander-js/extra-typings'
import { QuorateError, UnreachableError } from '../../client/index.ts'
import { Cancellation, Failure } from '../../local/failure.ts'
import { StatusDocument } from '../../operations/documents/status.ts'
import {
  ageText,
  type ClusterHealth,
  certificateMs,
  clusterHealth,
  type MemberRow,
} from '../cluster-health.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { parseTiming } from '../flags/flag-values.ts'
import { toJson, toJsonLine } from '../format/json.ts'
import { escapeText } from '../format/text.ts'
import { io } from '../terminal/io.ts'
import { byName, sayPainted, write, writeLine } from '../terminal/output.ts'
import { type Column, isTable, printTable } from '../terminal/table.ts'
import { paint } from '../terminal/terminal.ts'

/** A node that does not answer in this time is shown as unreachable. */
const ANSWER_MS_MAX = 2_000
const WATCH_MS = 2_000
const CLEAR_SCREEN = '\u001b[H\u001b[J'

type Target = Pick<MemberRow, 'name' | 'url'>

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('status'), [
    'kv status',
    'kv status --all --endpoints http://10.0.0.1:7301',
    'kv status --all --watch',
    'kv status -o json',
  ])
    .description('the report of each node')
    .option(
      '--all',
      'all members, also those that --endpoints does not name: lag, disk, certificates, backups; the exit code says whether all is well',
    )
    .option('--watch', 'again and again, until Ctrl-C')
    .option('--every <duration>', 'the time between two reports of --watch: 2s', parseTiming)
    .action(async ({ all = false, watch, every }) => {
      await withContext(flags(), { kind: 'read' }, async (context) => {
        if (watch === true || every !== undefined) return watchStatus(context, all, every ?? WATCH_MS)
        const answers = await requestAnswers(context, all, statusTargets(context))
        const health = await printStatus(context, all, answers)
        // The problems have been printed.
        if (all && health.exitCode !== EXIT.ok) throw new Failure(health.exitCode, '')
      })
    })

const statusTargets = ({ endpoints }: CommandContext): Target[] =>
  endpoints.urls.map((url) => ({ name: undefined, url }))

async function watchStatus(context: CommandContext, all: boolean, everyMs: number): Promise<void> {
  const { signal, format } = context
  const onScreen = io().stdout.isTTY === true && isTable(format)
  const given = statusTargets(context)
  let targets: readonly Target[] = given
  try {
    for (let isFirst = true; ; isFirst = false) {
      const answers = await requestAnswers(context, all, targets)
      const { rows } = answers
      // If no node answers next time, the members are still known. Through a tunnel, their URLs reach nobody.
      targets = [...given.filter(({ url }) => rows.every((row) => row.url !== url)), ...rows]
      if (onScreen) await write(`${CLEAR_SCREEN}${statusTitle(rows)}\n\n`)
      else if (!isFirst && format === 'plain') await write('\n')
      await printStatus(context, all, answers, true)
      await sleep(everyMs, undefined, { signal })
    }
  } catch (error) {
    if (signal.aborted) throw new Cancellation(EXIT.interrupted, '')
    throw error
  }
}

function statusTitle(rows: readonly MemberRow[]): string {
  const { newest, leader } = clusterHealth(rows)
  const cluster = newest === undefined ? 'no node answers' : `cluster ${newest.clusterId}`
  const led = leader === undefined ? 'no leader' : `leader ${leader}`
  return paint(
    'dim',
    escapeText(`${cluster}, ${led}, ${new Date().toLocaleTimeString('en-GB')}; Ctrl-C ends`),
  )
}

/** `again`: one of several reports. A report without any answer is no error then, and each JSON document is a line. */
async function printStatus(
  context: CommandContext,
  all: boolean,
  { rows, outsiders }: Answers,
  again = false,
): Promise<ClusterHealth> {
  if (!again && rows.every(({ status }) => status === undefined)) throw noAnswer(rows)
  const health = clusterHealth(rows, outsiders)
  const { format } = context
  if (format === 'json') await writeLine((again ? toJsonLine : toJson)(summary(rows, health, all)))
  else if (format === 'ndjson') {
    for (const row of rows) await writeLine(toJsonLine(nodeJson(row, health)))
  } else
    await printTable<MemberRow>(all ? membersColumns(rows, health) : NODE_COLUMNS, format, rows, rowStyle)
  const problems = all
    ? health.problems
    : rows.flatMap(({ status }) => status?.errors.map((text) => `${status.name}: ${text}`) ?? [])
  for (const problem of problems) sayPainted('red', problem)
  return health
}

interface Answers {
  readonly rows: readonly MemberRow[]
  /** Endpoints that the user has named, and that are no members. */
  readonly outsiders: readonly MemberRow[]
}

/**
 * The nodes that the user named, unless `all`; otherwise all members, as the node that has applied most knows them. All
 * nodes are asked at once: one that does not answer delays nothing.
 */
async function requestAnswers(
  context: CommandContext,
  all: boolean,
  targets: readonly Target[],
): Promise<Answers> {
  const { explicit, urls } = context.endpoints
  const rows = await Promise.all(targets.map((target) => requestStatus(context, target)))
  if (!all && explicit) return { rows, outsiders: [] }
  const newest = rows.flatMap(({ status }) => status ?? []).sort((a, b) => a.appliedIndex - b.appliedIndex)
  const members = byName(newest.at(-1)?.members ?? [])
  if (members.length === 0) return { rows, outsiders: [] }
  const isOf = (row: MemberRow, { name, url }: { readonly name: string; readonly url: string }) =>
    row.status === undefined ? row.url === url : row.name === name
  const isNamed = ({ url }: MemberRow) => explicit && urls.includes(url)
  const outsiders = rows.filter((row) => isNamed(row) && !members.some((member) => isOf(row, member)))
  const ofMembers = members.map((member) => {
    const { name, url } = member
    const known = rows.find((row) => isOf(row, member))
    return known === undefined ? requestStatus(context, { name, url }) : { ...known, name, url }
  })
  return { rows: await Promise.all(ofMembers), outsiders }
}

async function requestStatus(
  { client, timeoutMs, signal }: CommandContext,
  node: Target,
): Promise<MemberRow> {
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
function noAnswer(rows: readonly MemberRow[]): Error {
  const urls = rows.map((row) => row.url).join(', ')
  const errors = rows.flatMap((row) => row.error ?? [])
  const refusal = errors.find((error) => !(error instanceof UnreachableError))
  if (refusal?.code === 'timeout') return new Failure(EXIT.unavailable, `${refusal.message} from ${urls}`)
  return refusal ?? unreachable(`cannot connect to ${urls}`)
}

const unreachable = (message: string): UnreachableError =>
  new UnreachableError(message, { code: 'unreachable', written: 'no' })

const summary = (rows: readonly MemberRow[], health: ClusterHealth, all: boolean): object => ({
  cluster_id: health.newest?.clusterId ?? null,
  leader: health.leader ?? null,
  term: health.newest?.term ?? null,
  ...(all ? { problems: health.problems } : {}),
  nodes: rows.map((row) => nodeJson(row, health)),
})

function nodeJson(row: MemberRow, health: ClusterHealth): object {
  const { name, url, status: node, error } = row
  const { log, apply } = health.findLag(row)
  const lag = { log_lag: log ?? null, apply_lag: apply ?? null }
  if (node === undefined)
    return { name: name ?? null, url, state: 'unreachable', error: error?.message ?? null, ...lag }
  const { members: _, ...own } = StatusDocument.encode(node)
  return { ...own, url, state: 'running', ...lag }
}

const rowStyle = ({ status }: MemberRow) =>
  status === undefined ? 'red' : status.role === 'leader' ? 'green' : undefined

const NODE_COLUMNS: readonly Column<MemberRow>[] = [
  { title: 'NAME', cell: (row) => row.name },
  { title: 'URL', cell: (row) => row.url, keepsEnd: true },
  { title: 'STATE', cell: (row) => (row.status === undefined ? 'unreachable' : 'running') },
  { title: 'ROLE', cell: (row) => row.status?.role },
  { title: 'TERM', cell: (row) => row.status?.term, alignRight: true },
  { title: 'COMMIT', cell: (row) => row.status?.commitIndex, alignRight: true, wide: true },
  { title: 'APPLIED', cell: (row) => row.status?.appliedIndex, alignRight: true, wide: true },
  { title: 'REVISION', cell: (row) => row.status?.revision, alignRight: true },
  { title: 'STATE HASH', cell: (row) => row.status?.stateHash, wide: true },
]

/** Columns without any value are rarely needed: nodes without TLS or backups have none. */
function membersColumns(
  rows: readonly MemberRow[],
  { findLag }: ClusterHealth,
): readonly Column<MemberRow>[] {
  const columns: readonly Column<MemberRow>[] = [
    { title: 'NAME', cell: (row) => row.name },
    { title: 'ADDRESS', cell: (row) => row.url.replace(/^https?:\/\//, ''), keepsEnd: true },
    { title: 'ROLE', cell: roleText },
    { title: 'TERM', cell: (row) => row.status?.term, alignRight: true },
    { title: 'LAG', cell: (row) => findLag(row).log, alignRight: true },
    { title: 'APPLY', cell: (row) => findLag(row).apply, alignRight: true },
    { title: 'DISK FREE', cell: diskText, alignRight: true },
    { title: 'CERT', cell: (row) => remainingText(certificateMs(row)), alignRight: true },
    { title: 'BACKUP', cell: (row) => passedText(row.status?.lastBackupAgeMs), alignRight: true },
    { title: 'VERSION', cell: (row) => row.status?.version },
    { title: 'REVISION', cell: (row) => row.status?.revision, alignRight: true, wide: true },
    { title: 'COMMIT', cell: (row) => row.status?.commitIndex, alignRight: true, wide: true },
    { title: 'APPLIED', cell: (row) => row.status?.appliedIndex, alignRight: true, wide: true },
    { title: 'STATE HASH', cell: (row) => row.status?.stateHash, wide: true },
  ]
  return columns.map((column) => ({
    ...column,
    wide: column.wide === true || rows.every((row) => column.cell(row) === undefined),
  }))
}

function roleText({ status }: MemberRow): string {
  if (status === undefined) return 'unreachable'
  const self = status.members.find(({ replicaId }) => replicaId === status.replicaId)
  return self?.role === 'learner' ? 'learner' : status.role
}

/** Free space, and its share of the file system. */
function diskText({ status }: MemberRow): string | undefined {
  if (status?.diskFreeBytes === undefined) return undefined
  const free = `${gigabytes(status.diskFreeBytes)} GB`
  if (status.diskTotalBytes === undefined) return free
  return `${free} ${Math.floor((100 * status.diskFreeBytes) / status.diskTotalBytes)}%`
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(bytes < 10e9 ? 1 : 0)

const remainingText = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : ms < 0 ? 'expired' : ageText(ms)

const passedText = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : ageText(ms)
