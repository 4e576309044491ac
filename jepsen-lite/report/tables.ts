// The parts of the report that are text and need no script.

import { type Anomaly, anomalyText, type CheckResult } from '../checker/index.ts'
import type { TransactionsResult } from '../checker/transactions/index.ts'
import type { History } from '../workload/history.ts'
import { allCalls } from './data.ts'
import { renderFailureHead } from './failed-simulation.ts'
import { formatOperation, formatOutcome } from './format-operation.ts'
import { type Cell, escapeHtml, table } from './html.ts'
import { type Band, noteDetails } from './nodes.ts'
import type { ReportSources } from './report-sources.ts'
import type { RunResults } from './run-finder.ts'

/** Limits that keep the page readable; the history has the rest. */
const SHOWN_MAX = { findings: 20, keys: 500, events: 3_000, witnesses: 3 }

const SAYS: Readonly<Record<string, string>> = {
  pass: 'nothing wrong',
  violation: 'a promise was broken',
  undecided: 'undecided: the search ran out of its budget',
  failed: 'the run proves nothing',
}

export function renderHead(reported: ReportSources): string {
  const { failure, history } = reported
  if (failure === undefined) return `<header>\n${renderVerdictHead(reported)}\n</header>`
  const facts = allCalls(history).length === 0 ? '' : countsList(reported)
  return `<header>\n${renderFailureHead(failure)}\n${facts}\n</header>`
}

function renderVerdictHead(reported: ReportSources): string {
  const { history, verdict, transactions, run } = reported
  const { header } = history
  const isBroken = transactions?.verdict === 'violation'
  const word = run?.verdict ?? (isBroken ? 'violation' : verdict.verdict)
  const again = !isCommand(header.command)
    ? ''
    : `<p class="again">Repeat it with: <code>npx ${escapeHtml(header.command)}</code></p>`
  return `<h1>jepsen-lite <span class="workload">${escapeHtml(header.workload)}</span></h1>
<p class="verdict ${escapeHtml(word)}">${MARKS[word] ?? ''} <strong>${escapeHtml(word)}</strong> ${escapeHtml(SAYS[word] ?? '')}</p>
${countsList(reported)}
${again}`
}

function countsList({ history, verdict, run }: ReportSources): string {
  const { header } = history
  const calls = allCalls(history)
  const { operations, unknown, failed } = verdict.counts
  const answered = operations - unknown - failed
  const seconds =
    (Math.max(0, ...calls.slice(-1).map(({ startMs }) => startMs)) - (calls[0]?.startMs ?? 0)) / 1_000
  const facts = [
    `${operations.toLocaleString('en')} operations in ${seconds.toFixed(1)} s`,
    `${unknown.toLocaleString('en')} of unknown outcome`,
    `${failed.toLocaleString('en')} failed`,
    ...(run === undefined ? [] : [`${answered.toLocaleString('en')} answered`]),
    ...(header.seed === undefined ? [] : [`seed ${header.seed}`]),
  ]
  return `<ul class="facts">${facts.map((fact) => `<li>${escapeHtml(fact)}</li>`).join('')}</ul>`
}

/** A history that somebody wrote has no command of this package. */
const isCommand = (command: string): boolean => command.startsWith('jepsen-lite ')

export function findingsTable({ verdict, transactions, run }: ReportSources): string {
  const findings = [...(transactions?.findings ?? []), ...verdict.findings]
  const found = findings.slice(0, SHOWN_MAX.findings).map((finding): Cell[] => {
    const { check, key, message } = finding
    return [check, key ?? '', message, { html: renderButtons(finding) }]
  })
  // The findings of a run include those of the checker; they are shown once.
  const others = (run?.findings ?? []).filter(({ message }) => !isRepeated(message, findings))
  const rows = [...found, ...others.map(({ kind, message }): Cell[] => [kind, '', message, ''])]
  const more = findings.length - found.length
  if (more > 0) rows.push(['', '', `and ${more} more`, ''])
  return table('What is wrong', ['by', 'key', 'what', 'operations'], rows)
}

const isRepeated = (message: string, findings: readonly Anomaly[]): boolean =>
  findings.some((finding) => message === anomalyText(finding))

/** With the script, a click on a button shows the operation. */
const renderButtons = ({ calls }: Anomaly): string =>
  calls
    .slice(0, 6)
    .map((id) => `<button type="button" class="button" data-operation="${id}">${id}</button>`)
    .join(' ')

const isUndecided = ({ verdict }: { readonly verdict: string }): boolean => verdict === 'undecided'

/** Judges of a history with a log. */
const LOGGED = {
  log: 'all changes, answers and last reads, against the log of the store',
  watches: 'what each watch received',
  leases: 'how long leases have lived, and which keys went with them',
  locks: 'tokens, in the order of the guarded changes',
  queues: 'what was pushed, delivered and acknowledged',
}

export function verdictsTable({ history, verdict, transactions, failure }: ReportSources): string {
  // A simulation need not record operations.
  if (failure !== undefined && allCalls(history).length === 0) return ''
  const isLogged = history.header.log !== undefined
  const { linearizability, counts } = verdict
  const findings = [...verdict.findings, ...(transactions?.findings ?? [])]
  const { keys, model, configurations } = linearizability
  const { reads } = counts
  const seen = {
    linearizability: `${keys.length} keys, model ${model}, ${configurations.toLocaleString('en')} configurations`,
    revisions: `${counts.revisions.toLocaleString('en')} answers with a revision`,
    lists: `${counts.lists} lists answered`,
    reads: `${reads.linearizable} linearizable, ${reads.lease} by lease, ${reads.stale} stale reads answered`,
    idempotency: `${counts.repeated} requests sent more than once`,
    durability: `${counts.finals} nodes read at the end`,
    'revision-accounting': counts.complete
      ? 'every revision, because all changes are in the history'
      : 'the history may not contain all changes',
    transactions: transactions === undefined ? 'not requested' : transactionWords(transactions.counts),
    ...LOGGED,
  } satisfies Record<Anomaly['check'], string>
  const nothing = {
    linearizability: keys.length === 0,
    revisions: counts.revisions === 0,
    lists: counts.lists === 0,
    reads: reads.linearizable + reads.lease + reads.stale === 0,
    idempotency: counts.repeated === 0,
    durability: counts.finals === 0,
    'revision-accounting': !counts.complete,
    transactions: transactions === undefined || transactions.counts.transactions === 0,
    log: !isLogged,
    watches: !isLogged,
    leases: !isLogged,
    locks: !isLogged,
    queues: !isLogged,
  } satisfies Record<Anomaly['check'], boolean>
  const names = [
    'linearizability',
    'revisions',
    'lists',
    'reads',
    'idempotency',
    'durability',
    'revision-accounting',
    'transactions',
    ...(isLogged ? (['log', 'watches', 'leases', 'locks', 'queues'] as const) : []),
  ] as const
  const rows = names.map((name): Cell[] => {
    const broken = findings.filter(({ check }) => check === name).length
    const undecided =
      (name === 'linearizability' && linearizability.verdict === 'undecided') ||
      (name === 'revisions' && verdict.undecided.length > linearizability.keys.filter(isUndecided).length)
    if (broken > 0) return [name, verdictCell('violation'), seen[name], broken]
    if (nothing[name]) return [name, 'nothing to check', seen[name], 0]
    return [name, verdictCell(undecided ? 'undecided' : 'pass'), seen[name], 0]
  })
  return table('Verdicts', ['check', 'verdict', 'checked', 'violations'], rows)
}

const transactionWords = (counts: TransactionsResult['counts']): string =>
  `${counts.transactions.toLocaleString('en')} transactions, ${counts.dependencies.toLocaleString('en')} dependencies of ${counts.keys.toLocaleString('en')} keys`

const MARKS: Readonly<Record<string, string>> = { pass: '✓', violation: '✗', failed: '✗', undecided: '?' }

const verdictCell = (word: string): Cell => ({
  html: `<span class="verdict ${escapeHtml(word)}">${MARKS[word] ?? ''} ${escapeHtml(word)}</span>`,
})

/** Table of the kinds of faults: how often each was injected and took effect, and an example of the effect. */
export function faultsTable(
  faults: readonly Band[],
  { notes }: History,
  run: RunResults | undefined,
): string {
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort()
  const rows = kinds.map((kind): Cell[] => {
    const all = faults.filter((fault) => fault.kind === kind)
    const felt = all.flatMap(({ effect }) => effect ?? [])
    const heldMs = all.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)
    return [kind, all.length, felt.length, Math.round(heldMs / 100) / 10, felt[0] ?? 'no effect was seen']
  })
  const idle = new Map<string, string>()
  for (const { what, fault, why } of notes) {
    if (what === 'no fault' && typeof fault === 'string' && !kinds.includes(fault))
      idle.set(fault, String(why))
  }
  for (const [kind, why] of idle) rows.push([kind, 0, 0, '', `not injected: ${why}`])
  for (const [kind, why] of Object.entries(run?.skipped ?? {}))
    rows.push([kind, 0, 0, '', `skipped because ${why}`])
  return table('Faults', ['kind', 'injected', 'took effect', 'seconds', 'effect, for example'], rows)
}

export function probesTable(probes: Readonly<Record<string, number>> | undefined): string {
  const rows = Object.entries(probes ?? {}).sort(([, a], [, b]) => b - a)
  return table('Probes', ['what the schedule reached', 'times'], rows)
}

export function keysTable({ linearizability }: CheckResult): string {
  const rank = { impossible: 0, undecided: 1, linearizable: 2 }
  const words = { impossible: 'violation', undecided: 'undecided', linearizable: 'pass' }
  const sorted = [...linearizability.keys].sort(
    (a, b) => rank[a.verdict] - rank[b.verdict] || b.operations - a.operations,
  )
  const rows = sorted.slice(0, SHOWN_MAX.keys).map((one): Cell[] => {
    const { key, verdict, operations, unknown, points } = one
    const button = `<button type="button" class="button" data-key="${escapeHtml(key)}">show</button>`
    return [key, verdictCell(words[verdict]), operations, unknown, points.length, { html: button }]
  })
  const more = sorted.length - rows.length
  const caption = more > 0 ? `Keys (the first ${rows.length} of ${sorted.length})` : 'Keys'
  return table(caption, ['key', 'verdict', 'operations', 'unknown', 'in the order found', ''], rows)
}

/** The witnesses: a few operations that have no explanation even without all others. */
export function witnesses({ linearizability }: CheckResult): string {
  return linearizability.keys
    .flatMap(({ key, failure }) => (failure === undefined ? [] : [{ key, calls: failure.witness }]))
    .slice(0, SHOWN_MAX.witnesses)
    .map(({ key, calls }) => {
      const rows = calls().map(({ id, client, node, op, result, startMs, endMs }): Cell[] => [
        id === undefined
          ? 'end'
          : { html: `<button type="button" class="button" data-operation="${id}">${id}</button>` },
        id === undefined ? node : String(client),
        `${startMs} – ${endMs ?? '?'}`,
        formatOperation(op),
        result === undefined ? 'unknown' : formatOutcome({ kind: 'ok', result }),
      ])
      const caption = `Key ${key}: these operations alone cannot be explained`
      return table(caption, ['id', 'client', 'ms', 'operation', 'answer'], rows)
    })
    .join('\n')
}

/** The notes of the history: the events that are not operations of clients. */
export function eventsTable(history: History): string {
  // Output has a table of its own.
  const notes = history.notes.filter(({ what }) => what !== 'output')
  if (notes.length === 0) return ''
  const rows = notes.slice(0, SHOWN_MAX.events).map((note): Cell[] => {
    const what = typeof note.fault === 'string' ? `${note.what} ${note.fault}` : note.what
    const hit = [note.nodes, note.processes].flatMap((names) => (Array.isArray(names) ? names : []))
    const { node = note.process } = note
    return [note.time.toFixed(1), node ?? hit.join(' '), what, wordsOfNote(note)]
  })
  const more = notes.length - rows.length
  const shown = table('Events', ['ms', 'node or process', 'what', 'details'], rows)
  return `<details><summary>Events${more > 0 ? ` (the first ${rows.length} of ${notes.length})` : ` (${rows.length})`}</summary>${shown}</details>`
}

const wordsOfNote = (note: History['notes'][number]): string => {
  const { node: _, process: __, ...rest } = note
  return noteDetails(rest)
}
