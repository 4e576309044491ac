// `jepsen-lite check`: reads files, judges each, and prints a line or a document. A file that cannot be read or judged
// gives exit code 3, unless another file shows a violation, which a script must not miss. Each verdict is printed at
// once, and its explanation after it.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import {
  anomalyText,
  FORMATS,
  type HistoryFormat,
  type HistoryJudgement,
  judge,
  MODELS,
  parse,
} from '../checker/index.ts'
import { CommandError, EXIT } from '../exit-codes.ts'
import { HistoryError } from '../workload/history.ts'
import { whole } from './flags.ts'

interface CheckFlags {
  readonly format?: HistoryFormat | undefined
  readonly model?: string | undefined
  readonly budget?: number | undefined
  readonly output: 'text' | 'json'
}

type CheckedFile =
  | { readonly file: string; readonly ms: number; readonly verdict: 'unreadable'; readonly message: string }
  | ({ readonly file: string; readonly ms: number } & HistoryJudgement)

export function add(program: CommandUnknownOpts): void {
  program
    .command('check')
    .description('judge recorded histories: is there any promise that the store broke?')
    .argument('<path...>', 'files, or directories: runs, or all files below but README* and EXPECTED*')
    .addOption(
      new Option('--format <format>', 'of the files (default: what each looks like)').choices(FORMATS),
    )
    .addOption(new Option('--model <model>', 'what the store should be').choices([...MODELS.keys()]))
    .option('--budget <count>', 'configurations to search per key before it is undecided', whole(1))
    .addOption(
      new Option('-o, --output <output>').choices(['text', 'json'] as const).default('text' as const),
    )
    .action((paths, flags) => {
      process.exitCode = run(paths, flags)
    })
}

function run(paths: readonly string[], flags: CheckFlags): number {
  const began = performance.now()
  const files = paths.flatMap((path) => filesAt(path))
  if (files.length === 0) throw new CommandError(`no history in ${paths.join(', ')}`)
  const checked = files.map((file) => {
    const one = checkFile(file, flags)
    if (flags.output === 'text') print(one)
    return one
  })
  const seconds = (performance.now() - began) / 1000
  if (flags.output === 'json') process.stdout.write(toJson(checked, seconds))
  return checkExitCode(checked)
}

function filesAt(path: string, named = true): string[] {
  try {
    if (!statSync(path).isDirectory()) return named || isHistory(path) ? [path] : []
    const names = readdirSync(path).sort()
    // A recorded run. Other files beside its history are no histories.
    if (names.includes('history.jsonl')) return [join(path, 'history.jsonl')]
    return names.flatMap((name) => filesAt(join(path, name), false))
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error))
  }
}

const isHistory = (path: string): boolean => !/(^|[\\/])(README|EXPECTED|\.)[^\\/]*$/.test(path)

function checkFile(file: string, { format, model, budget }: CheckFlags): CheckedFile {
  const began = performance.now()
  const ms = (): number => Math.round((performance.now() - began) * 1000) / 1000
  try {
    const verdict = judge(parse(readFileSync(file, 'utf8'), format), { model, configurationsMax: budget })
    return { file, ms: ms(), ...verdict }
  } catch (error) {
    if (error instanceof HistoryError || (error instanceof Error && 'syscall' in error)) {
      return { file, ms: ms(), verdict: 'unreadable', message: error.message }
    }
    throw error
  }
}

const VERDICTS = ['violation', 'unreadable', 'undecided', 'pass'] as const
const EXIT_CODES = {
  violation: EXIT.violation,
  unreadable: EXIT.failed,
  undecided: EXIT.undecided,
  pass: EXIT.ok,
} as const

const worstVerdict = (checked: readonly CheckedFile[]) =>
  VERDICTS.find((verdict) => checked.some((file) => file.verdict === verdict)) ?? 'pass'

const checkExitCode = (checked: readonly CheckedFile[]): number => EXIT_CODES[worstVerdict(checked)]

const LINEARIZABLE = { linearizable: true, impossible: false, undecided: null } as const
/** A broken store breaks many promises at once. The first few are enough. */
const FINDINGS_SHOWN_MAX = 20

function toJson(checked: readonly CheckedFile[], seconds: number): string {
  const files = checked.map((one) => {
    if (one.verdict === 'unreadable') return { ...one, linearizable: null }
    const { file, ms, verdict, findings, transactions } = one
    const { linearizability, undecided, unjudged, counts } = one.check
    return {
      file,
      verdict,
      linearizable: LINEARIZABLE[linearizability.verdict],
      model: linearizability.model,
      ms,
      keys: linearizability.keys.length,
      configurations: linearizability.configurations,
      ...counts,
      ...(transactions && { transactions: transactions.counts.transactions }),
      undecided,
      unjudged,
      violations: findings.length,
      violation_details: findings.slice(0, FINDINGS_SHOWN_MAX),
      witness: findWitness(one),
    }
  })
  return `${JSON.stringify({ verdict: worstVerdict(checked), seconds, files }, null, 2)}\n`
}

/** A few operations that show the violation, of the smallest key that cannot be explained. */
function findWitness({ check }: HistoryJudgement) {
  const failure = check.linearizability.keys.find((key) => key.failure !== undefined)?.failure
  return failure?.witness().map(({ id, client, node, op, result, startMs, endMs }) => {
    return {
      id: id ?? null,
      client,
      node,
      start_ms: startMs,
      end_ms: endMs ?? null,
      op,
      result: result ?? 'unknown',
    }
  })
}

function print(one: CheckedFile): void {
  for (const lines of reportLines(one)) process.stdout.write(lines.map((line) => `${line}\n`).join(''))
}

/** Results that are already known come first. */
function* reportLines(one: CheckedFile): Generator<string[]> {
  if (one.verdict === 'unreadable') return yield [`unreadable  ${one.file}: ${one.message}`]
  const { operations, unknown, revisions } = one.check.counts
  const { keys, model } = one.check.linearizability
  const judged =
    model === 'log'
      ? `${revisions} answers compared with the log`
      : `${keys.length} ${keys.length === 1 ? 'key' : 'keys'}`
  const transactions =
    one.transactions === undefined ? '' : `, ${one.transactions.counts.transactions} transactions`
  const size = `${operations} operations, ${unknown} of unknown outcome, ${judged}${transactions}`
  yield [`${one.verdict.padEnd(10)}  ${one.file}  (${size}, ${Math.round(one.ms)} ms)`, ...findingLines(one)]
  const witness = findWitness(one)
  if (witness === undefined) return
  yield [
    '    These alone cannot be explained:',
    ...witness.map(
      ({ id, client, start_ms, end_ms, op, result }) =>
        `      ${id ?? '(end)'}  client ${client}  ${start_ms}–${end_ms ?? '?'} ms  ${JSON.stringify(op)} → ${JSON.stringify(result)}`,
    ),
  ]
}

function findingLines({ findings, check: { undecided, unjudged } }: HistoryJudgement): string[] {
  const shown = findings.slice(0, FINDINGS_SHOWN_MAX).map((finding) => `    ${anomalyText(finding)}`)
  const more = findings.length - shown.length
  if (more > 0) shown.push(`    … and ${more} more`)
  const lacking = Object.entries(unjudged).map(([what, count]) => `${count} ${what}`)
  return [
    ...shown,
    ...undecided.map((what) => `    undecided: ${what}`),
    ...(lacking.length > 0 ? [`    not judged, as they tell too little: ${lacking.join(', ')}`] : []),
  ]
}
