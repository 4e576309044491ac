// `jepsen-lite report`: one HTML file from a recorded run, a history in any format that `check` reads, or a schedule of
// the simulator.

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { FORMATS, type HistoryFormat, judge, MODELS, parse } from '../checker/index.ts'
import { CommandError, EXIT } from '../exit-codes.ts'
import { type ReportSources, renderReport } from '../report/index.ts'
import { parseRunResults, withVerdict } from '../report/run-finder.ts'
import { HistoryError } from '../workload/history.ts'

interface ReportFlags {
  readonly out?: string | undefined
  readonly format?: HistoryFormat | undefined
  readonly model?: string | undefined
}

export function add(program: CommandUnknownOpts): void {
  program
    .command('report')
    .description('draw a run, a history or a simulated schedule as one HTML file')
    .argument('<path>', 'the directory of a run, a file with a history, or a schedule as `sim` writes it')
    .option('--out <file>', 'where to (default: report.html in the directory, or beside the file)')
    .addOption(
      new Option('--format <format>', 'of the history (default: what it looks like)').choices(FORMATS),
    )
    .addOption(new Option('--model <model>', 'what the store should be').choices([...MODELS.keys()]))
    .action(async (path, flags) => {
      const reported = await read(path, flags)
      const out = flags.out ?? (isDirectory(path) ? join(path, 'report.html') : `${path}.html`)
      write(out, renderReport(reported))
      const word = verdictWord(reported)
      process.stdout.write(`${word}: ${out}\n`)
      process.exitCode = EXIT_CODES.get(word) ?? EXIT.failed
    })
}

const verdictWord = ({ run, transactions, verdict }: ReportSources): string =>
  run?.verdict ?? (transactions?.verdict === 'violation' ? 'violation' : verdict.verdict)

/** Exit codes by verdict, equal to those of `check` and `run`, whose findings the report draws. */
const EXIT_CODES: ReadonlyMap<string, number> = new Map([
  ['ok', EXIT.ok],
  ['pass', EXIT.ok],
  ['violation', EXIT.violation],
  ['undecided', EXIT.undecided],
])

async function read(path: string, { format, model }: ReportFlags): Promise<ReportSources> {
  try {
    const isRun = isDirectory(path)
    const text = readFileSync(isRun ? join(path, 'history.jsonl') : path, 'utf8')
    if (!isRun && format === undefined && looksLikeSchedule(text)) {
      const { simulated } = await import('../report/simulated-history.ts')
      return await simulated(text, `jepsen-lite replay ${path}`)
    }
    const history = parse(text, format)
    const results = join(path, 'results.json')
    const run = isRun && existsSync(results) ? parseRunResults(readFileSync(results, 'utf8')) : undefined
    const { verdict, check, transactions } = judge(history, { model })
    return { history, verdict: check, transactions, run: run && withVerdict(run, verdict) }
  } catch (error) {
    const isExpected = error instanceof HistoryError || error instanceof RangeError
    if (isExpected || (error instanceof Error && 'syscall' in error))
      throw new CommandError(`${path}: ${error.message}`)
    throw error
  }
}

/** A JSON document. A history instead has one line per event. */
function looksLikeSchedule(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && ('schedule' in value || 'faults' in value)
  } catch {
    return false
  }
}

function write(out: string, html: string): void {
  try {
    writeFileSync(out, html)
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error))
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error))
  }
}
