// The output of `kv cluster start` and `status`, and one line for each event of a cluster in the foreground.

import { extname } from 'node:path'
import type { SupervisorEvent } from '../../local/cluster/cluster-nodes.ts'
import { DEFAULT_DATA } from '../../local/directory/cluster-file.ts'
import { dataFlag } from '../../local/node/recovery-hints.ts'
import { PROGRAM } from '../../local/program-name.ts'
import {
  LocalClusterDocument,
  type LocalClusterStatus,
  LocalNodeDocument,
  type LocalNodeStatus,
} from '../../operations/documents/supervisor.ts'
import { toJson } from '../format/json.ts'
import { type Format, say, sayInPassing, write, writeLine } from '../terminal/output.ts'
import { type Column, printTable } from '../terminal/table.ts'

type StartMode = 'foreground' | 'detached' | 'running'

export interface StartReport {
  /**
   * Called once, when the cluster is formed. `running`: another supervisor runs it. `console`: the address of its
   * console, if one runs.
   */
  show(status: LocalClusterStatus, mode: StartMode, console: string | undefined): Promise<void>
  /** Prints a line to stderr; `before` dimmed, if given. */
  say(text: string, before?: string): void
}

const BRIEF: readonly Column<LocalNodeStatus>[] = [
  { title: 'NAME', cell: (node) => node.name },
  { title: 'URL', cell: (node) => node.url, keepsEnd: true },
  { title: 'ROLE', cell: (node) => node.role },
  { title: 'PID', cell: (node) => node.pid, alignRight: true },
  { title: 'STATE', cell: (node) => node.state },
]
const FULL: readonly Column<LocalNodeStatus>[] = [
  ...BRIEF,
  { title: 'TERM', cell: (node) => node.term, alignRight: true },
  { title: 'COMMIT', cell: (node) => node.commitIndex, alignRight: true, wide: true },
  { title: 'APPLIED', cell: (node) => node.appliedIndex, alignRight: true, wide: true },
  { title: 'REVISION', cell: (node) => node.revision, alignRight: true },
]

export async function showStatus(status: LocalClusterStatus, format: Format): Promise<void> {
  if (format === 'json') await writeLine(toJson(LocalClusterDocument.encode(status)))
  else if (format === 'ndjson')
    for (const node of status.nodes) await writeLine(LocalNodeDocument.stringify(node))
  else await printNodes(status, FULL, format)
}

/** People read the output of a start, also in a pipe: a table and commands to try, unless JSON is chosen. */
export function startReport(data: string, format: Format): StartReport {
  return {
    async show(status, mode, console) {
      if (format === 'json' || format === 'ndjson') return showStatus(status, format)
      if (mode === 'running') {
        say(`the cluster in ${data} runs already`)
        const ended = status.nodes.filter(({ state }) => state === 'stopped')
        for (const { name } of ended)
          say(`${name} is stopped; start it with ${KV} cluster restart ${name}${dataFlag(data)}`)
      }
      await write('\n')
      await printNodes(status, BRIEF, 'table')
      if (console !== undefined) await write(`\n${consoleLine(console)}\n`)
      await write(`\n${commandsToTry(status, data, mode)}\n\n`)
    },
    say: sayInPassing,
  }
}

/** The line with the address of the console, and its token. */
export const consoleLine = (address: string): string => `console  ${address}`

const printNodes = (
  { nodes }: LocalClusterStatus,
  columns: readonly Column<LocalNodeStatus>[],
  format: Format,
): Promise<void> =>
  printTable(columns, format, nodes, ({ state, role }) =>
    state !== 'running' ? 'red' : role === 'leader' ? 'green' : undefined,
  )

/** The command line of the program: a clone runs its sources; elsewhere `npx kv` would run another package. */
const KV = extname(import.meta.filename) === '.ts' ? `npx ${PROGRAM}` : 'npx quorate'

function commandsToTry(status: LocalClusterStatus, data: string, mode: StartMode): string {
  const endpoints =
    data !== DEFAULT_DATA ? ` --endpoints ${status.nodes.map(({ url }) => url).join(',')}` : ''
  const cluster = (command: string): string => `${KV} cluster ${command}${dataFlag(data)}`
  const leader = status.leader ?? 'n1'
  const others = status.nodes.map(({ name }) => name).filter((name) => name !== leader)
  type Line = readonly [command: string, why: string]
  const faults: Line[] = [
    [cluster(`kill ${leader}`), 'kill the leader: another node is elected'],
    [cluster(`restart ${leader}`), 'bring it back'],
    [cluster(`partition ${leader} ${others.join(',')}`), 'cut the network between them'],
    [cluster('heal'), 'undo the partition'],
  ]
  const lines: Line[] = [
    [`${KV} put greeting hello${endpoints}`, 'write a key'],
    [`${KV} get greeting${endpoints}`, 'read it'],
    ...(others.length > 0 ? faults : []),
    [cluster('status'), 'who leads now'],
  ]
  const width = Math.max(...lines.map(([command]) => command.length))
  return [
    mode === 'foreground' ? 'Try, in another terminal:' : 'Try:',
    ...lines.map(([command, why]) => `  ${command.padEnd(width)}   ${why}`),
    '',
    mode === 'foreground'
      ? 'Ctrl-C stops the cluster and keeps its data.'
      : `${cluster('stop')} stops the cluster and keeps its data.`,
  ].join('\n')
}

/** Prints a line for an event, unless it needs none. */
export function printEvent(event: SupervisorEvent): void {
  const text = eventText(event)
  if (text !== undefined) sayInPassing(text, new Date().toTimeString().slice(0, 8))
}

function eventText(event: SupervisorEvent): string | undefined {
  if (event.kind === 'command') return event.message
  if (event.kind === 'save-failed') return event.reason
  if (event.kind === 'console-failed') return `no console: ${event.reason}`
  const { name } = event
  switch (event.event.kind) {
    case 'started':
      return `${name} has started`
    case 'ended':
      // The command that killed it has reported it.
      return event.event.reason === 'killed'
        ? undefined
        : event.event.reason === 'stopped'
          ? `${name} stopped`
          : `${name} ended: ${event.event.reason}`
    case 'view': {
      const { view, before } = event.event
      if (view.role === before?.role && (view.term === before.term || view.role === 'follower'))
        return undefined
      switch (view.role) {
        case 'leader':
          return `${name} leads in term ${view.term}`
        case 'candidate':
          return `${name} is a candidate in term ${view.term}`
        case 'pre-candidate':
          return `${name} has lost contact with the leader`
        case 'follower':
          return before?.role === 'leader' ? `${name} stepped down` : undefined
      }
    }
  }
}
